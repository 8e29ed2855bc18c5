import { tagOf } from '../../../core/hash-tag.ts';
import { shapeOf } from '../../../core/limit.ts';
import { limitStemOf, slotsKey, windowKey } from '../../../core/limit-keys.ts';
import { anyObject, revocationsKey, toRevocationField } from '../../../core/revocation.ts';
import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import { amountOf, type Decision, type Lost, type Moved, type Overruled } from '../answers.ts';
import { toFigures, toMoneyArguments } from './budget-scripts.ts';
import type { Admission, LimitWindow } from '../counters.ts';
import { loadScript, toInteger } from './lua-text.ts';
import { lifeKey } from '../store/store-lives.ts';

const admitScript = loadScript('budget', 'admit');

/** The text that takes the place of Redis' clock, for tests; '' in production. */
export type ClockText = string;

/**
 * One call for admissions of keys that share a tag; decided in their order. `epoch`: the life of the store in which spend must have been restored to be decided by; `life`: the one
 * in which anything is decided at all, '' = in any.
 */
export function toAdmitCall(admissions: readonly Admission[], clock: ClockText, epoch: string, life = ''): RedisScriptCall {
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
  const asked = admissions.flatMap((admission) => toAdmissionArguments(admission, epoch, keys));
  for (const { keyId } of admissions) keys.positionOf(lifeKey(tagOf(keyId)));
  return {
    script: admitScript,
    keyCount: keys.list.length,
    parameters: [...keys.list, clock, String(windowCount), ...described, ...asked, life],
  };
}

function toAdmissionArguments(
  { requestId, keyId, windows, tokens, concurrency, holdMs, bearer, money, lease }: Admission,
  epoch: string,
  { positionOf }: KeyList,
): string[] {
  const parameters = [
    String(positionOf(markerKey(keyId, requestId))),
    String(positionOf(slotsKey(keyId))),
    requestId,
    String(holdMs),
    String(concurrency?.limit ?? -1),
    concurrency?.shadow ? '1' : '',
    ...toBearer(keyId, bearer),
    String(windows.length),
    String(lease?.forMs ?? 0),
  ];
  for (const window of windows) {
    const place = positionOf(windowKey(keyId, window)) - 1;
    parameters.push(String(place), toInteger(window.limit), toInteger(amountOf(window, tokens, lease?.requests)), kindOf(window));
  }
  parameters.push(...toMoneyArguments(keyId, money, { epoch, positionOf }));
  return parameters;
}

/** Who asks, as the revocations name it. */
function toBearer(keyId: string, bearer: Admission['bearer']): string[] {
  const ofName = toRevocationField({ keyId, uid: anyObject });
  if (bearer === undefined) return ['', ofName, '0', ''];
  return [toRevocationField({ keyId, uid: bearer.uid }), ofName, toInteger(bearer.gen), bearer.credentialId];
}

export interface KeyList {
  readonly list: readonly string[];
  /** from 1, as Lua counts; a key that is new is put at the end */
  positionOf(key: string): number;
}

export function makeKeyList(): KeyList {
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
export function toDecisions(reply: unknown, count: number): (Decision | Overruled | Lost | Moved)[] {
  if (!Array.isArray(reply) || reply.length !== count) throw new TypeError('admit.lua gave no answer for each admission');
  return reply.map(toDecision);
}

/** Positions of budgets among the shadow refusals begin behind this. */
const budgetsFrom = 1_000;

function toDecision(reply: unknown): Decision | Overruled | Lost | Moved {
  if (!Array.isArray(reply)) throw new TypeError('admit.lua gave no array');
  const [what, timeMs, third, fourth] = reply as [number, number, string | number, number];
  if (what === 2) return { overruled: true, timeMs, stands: [String(third), String(fourth)] };
  if (what === 4) return { lost: true, timeMs };
  if (what === 5) return { moved: true, timeMs };
  const last: unknown = reply.at(-1);
  const money = Array.isArray(last) ? { budgets: toFigures(last as number[]) } : {};
  const used = reply.slice(what === 0 ? 4 : 3, Array.isArray(last) ? -1 : undefined) as number[];
  if (what === 3) return { admitted: false, timeMs, used, ...money, exhausted: toPositions(String(third)) };
  if (what === 0) return { admitted: false, timeMs, used, ...money, refusing: Number(third) - 1, waitMs: fourth };
  const shadow = toPositions(String(third));
  const shadowBudgets = shadow.filter((position) => position >= budgetsFrom).map((position) => position - budgetsFrom);
  return {
    admitted: true,
    timeMs,
    used,
    ...money,
    shadowRefusals: shadow.filter((position) => position < budgetsFrom),
    ...(shadowBudgets.length > 0 && { shadowBudgets }),
  };
}

export function markerKey(keyId: string, requestId: string): string {
  return `${limitStemOf(keyId)}:request:${keyId}:${requestId}`;
}

function kindOf({ unit, shadow }: LimitWindow): string {
  const kind = unit === 'requests' ? 'r' : 't';
  return shadow ? kind.toUpperCase() : kind;
}

/** Names stand on lines of their own in the marker. */
export function toLineText(name: string): string {
  return name.replaceAll('\n', ' ');
}

function toPositions(list: string): number[] {
  return list
    .split(',')
    .filter((item) => item !== '')
    .map((item) => Number(item) - 1);
}
