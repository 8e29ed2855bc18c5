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

export function toAdmitCall(admission: Admission, clock: ClockText): RedisScriptCall {
  const { requestId, keyId, windows, tokens, concurrency, holdMs, bearer } = admission;
  const parameters = keysOf(keyId, requestId, windows);
  parameters.push(revocationsKey(tagOf(keyId)));
  const keyCount = parameters.length;
  parameters.push(clock, requestId, String(holdMs), String(concurrency?.limit ?? -1), concurrency?.shadow ? '1' : '');
  for (const window of windows) {
    const { widthMs, k } = shapeOf(window.span);
    parameters.push(
      toLineText(window.name),
      String(widthMs),
      String(k),
      toInteger(window.limit),
      toInteger(amountOf(window, tokens)),
      kindOf(window),
    );
  }
  parameters.push(toRevocationField({ keyId, uid: bearer.uid }), toRevocationField({ keyId, uid: anyObject }));
  parameters.push(toInteger(bearer.gen), bearer.credentialId);
  return { script: admitScript, keyCount, parameters };
}

/** Reads admit.lua's answer. A shape that it does not give is a bug and throws. */
export function toDecision(reply: unknown): Decision | Overruled {
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
  const parameters = keysOf(keyId, requestId, windows);
  const keyCount = parameters.length;
  parameters.push(...head);
  for (const { name, span } of windows) {
    const { widthMs, k } = shapeOf(span);
    parameters.push(toLineText(name), String(widthMs), String(k));
  }
  return { script: settleScript, keyCount, parameters };
}

/** Order as the scripts take them: marker of the request, slots of the key, windows. One hash tag for all, so that one node of a cluster holds them. */
function keysOf(keyId: string, requestId: string, windows: readonly LimitWindow[]): string[] {
  const stem = `kw:{${tagOf(keyId)}}`;
  const keys = [`${stem}:request:${keyId}:${requestId}`, `${stem}:slots:${keyId}`];
  for (const { name, span } of windows) keys.push(`${stem}:${span}:${keyId}:${name}`);
  return keys;
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

function loadScript(name: 'admit' | 'settle'): RedisScript {
  const read = (file: string): string => readFileSync(new URL(`./${file}.lua`, import.meta.url), 'utf8');
  return makeRedisScript(`${read('window')}\n${read(name)}`);
}
