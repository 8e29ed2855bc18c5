import { readFileSync } from 'node:fs';
import { tagOf } from '../../core/hash-tag.ts';
import { shapeOf } from '../../core/limit.ts';
import { anyObject, revocationsKey, toRevocationField } from '../../core/revocation.ts';
import { makeRedisScript, type RedisScript, type RedisScriptCall } from '../../runtime/redis-script.ts';
import { amountOf, type Decision, type Overruled } from './answers.ts';
import type { Admission, LimitWindow, Settlement } from './counters.ts';

export const admitScript = loadScript('admit');
export const settleScript = loadScript('settle');

/** The text that takes the place of Redis' clock, for tests; '' in production. */
type ClockText = string;

/** One call for admissions of keys that share a tag; decided in their order. */
export function toAdmitCall(admissions: readonly Admission[], clock: ClockText): RedisScriptCall {
  const keys = makeKeyList();
  for (const { keyId } of admissions) keys.positionOf(revocationsKey(tagOf(keyId)));
  const described: string[] = [];
  for (const { keyId, windows } of admissions) {
    for (const window of windows) {
      const { length } = keys.list;
      if (keys.positionOf(windowKey(keyId, window)) <= length) continue;
      const { widthMs, k } = shapeOf(window.span);
      described.push(toLineText(window.name), String(widthMs), String(k));
    }
  }
  const windowCount = keys.list.length - 1;
  const asked = admissions.flatMap((admission) => toAdmissionArguments(admission, keys));
  return {
    script: admitScript,
    keyCount: keys.list.length,
    parameters: [...keys.list, clock, String(windowCount), ...described, ...asked],
  };
}

function toAdmissionArguments(
  { requestId, keyId, windows, tokens, concurrency, holdMs, bearer }: Admission,
  { positionOf }: KeyList,
): string[] {
  const parameters = [
    String(positionOf(markerKey(keyId, requestId))),
    String(positionOf(slotsKey(keyId))),
    requestId,
    String(holdMs),
    String(concurrency?.limit ?? -1),
    concurrency?.shadow ? '1' : '',
    bearer === undefined ? '' : toRevocationField({ keyId, uid: bearer.uid }),
    toRevocationField({ keyId, uid: anyObject }),
    toInteger(bearer?.gen ?? 0),
    bearer?.credentialId ?? '',
    String(windows.length),
  ];
  for (const window of windows) {
    const place = positionOf(windowKey(keyId, window)) - 1;
    parameters.push(String(place), toInteger(window.limit), toInteger(amountOf(window, tokens)), kindOf(window));
  }
  return parameters;
}

interface KeyList {
  readonly list: readonly string[];
  /** from 1, as Lua counts; a key that is new is put at the end */
  positionOf(key: string): number;
}

function makeKeyList(): KeyList {
  const list: string[] = [];
  const positions = new Map<string, number>();
  return {
    list,
    positionOf(key) {
      const known = positions.get(key);
      if (known !== undefined) return known;
      positions.set(key, list.push(key));
      return list.length;
    },
  };
}

/** Reads admit.lua's answers to so many admissions. A shape that it does not give is a bug and throws. */
export function toDecisions(reply: unknown, count: number): (Decision | Overruled)[] {
  if (!Array.isArray(reply) || reply.length !== count) throw new TypeError('admit.lua gave no answer for each admission');
  return reply.map(toDecision);
}

function toDecision(reply: unknown): Decision | Overruled {
  if (!Array.isArray(reply)) throw new TypeError('admit.lua gave no array');
  const [admitted, timeMs, third, fourth] = reply as [number, number, string | number, number];
  if (admitted === 2) return { overruled: true, timeMs, stands: [String(third), String(fourth)] };
  if (admitted === 1) return { admitted: true, timeMs, used: reply.slice(3) as number[], shadowRefusals: toPositions(String(third)) };
  return { admitted: false, timeMs, used: reply.slice(4) as number[], refusing: Number(third) - 1, waitMs: fourth };
}

export function toSettleCall({ requestId, keyId, windows, tokens, refundRequest }: Settlement, clock: ClockText): RedisScriptCall {
  return toAfterwards({ requestId, keyId, windows, head: [clock, requestId, 'settle', toInteger(tokens), refundRequest ? '1' : '', '0'] });
}

export function toRenewCall({ requestId, keyId, windows, holdMs }: Admission, tokensSoFar: number, clock: ClockText): RedisScriptCall {
  return toAfterwards({ requestId, keyId, windows, head: [clock, requestId, 'renew', toInteger(tokensSoFar), '', String(holdMs)] });
}

function toAfterwards({
  requestId,
  keyId,
  windows,
  head,
}: {
  requestId: string;
  keyId: string;
  windows: readonly LimitWindow[];
  head: readonly string[];
}): RedisScriptCall {
  const parameters = [markerKey(keyId, requestId), slotsKey(keyId), ...windows.map((window) => windowKey(keyId, window))];
  const keyCount = parameters.length;
  parameters.push(...head);
  for (const { name, span } of windows) {
    const { widthMs, k } = shapeOf(span);
    parameters.push(toLineText(name), String(widthMs), String(k));
  }
  return { script: settleScript, keyCount, parameters };
}

/** One hash tag for all keys of a virtual key, so that one node of a cluster holds what one script needs. */
function stemOf(keyId: string): string {
  return `kw:{${tagOf(keyId)}}`;
}

function markerKey(keyId: string, requestId: string): string {
  return `${stemOf(keyId)}:request:${keyId}:${requestId}`;
}

export function slotsKey(keyId: string): string {
  return `${stemOf(keyId)}:slots:${keyId}`;
}

export function windowKey(keyId: string, { span, name }: Pick<LimitWindow, 'span' | 'name'>): string {
  return `${stemOf(keyId)}:${span}:${keyId}:${name}`;
}

function kindOf({ unit, shadow }: LimitWindow): string {
  const kind = unit === 'requests' ? 'r' : 't';
  return shadow ? kind.toUpperCase() : kind;
}

/** Names stand on lines of their own in the marker. */
function toLineText(name: string): string {
  return name.replaceAll('\n', ' ');
}

/** An integer below 2^53, so never in exponent form (JavaScript begins that at 1e21). */
function toInteger(amount: number): string {
  return String(Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.ceil(amount))));
}

function toPositions(list: string): number[] {
  return list
    .split(',')
    .filter((item) => item !== '')
    .map((item) => Number(item) - 1);
}

/** One of our scripts, behind the window that all of them work on. */
export function loadScript(name: 'admit' | 'settle' | 'peek'): RedisScript {
  const read = (file: string): string => readFileSync(new URL(`./${file}.lua`, import.meta.url), 'utf8');
  return makeRedisScript(`${read('window')}\n${read(name)}`);
}
