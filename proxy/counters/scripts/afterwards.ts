import { budgetLetter } from '../../../core/budget.ts';
import { tagOf } from '../../../core/hash-tag.ts';
import { shapeOf } from '../../../core/limit.ts';
import { slotsKey, windowKey } from '../../../core/limit-keys.ts';
import { usageStreamOf } from '../../../core/usage-stream.ts';
import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import { amountOf } from '../answers.ts';
import { moneyKeys } from './budget-scripts.ts';
import type { Admission, BudgetLimit, LimitWindow, Settlement } from '../counters.ts';
import { loadScript, toInteger } from './lua-text.ts';
import { type ClockText, type KeyList, makeKeyList, markerKey, toLineText } from './scripts.ts';

const settleScript = loadScript('budget', 'settle');

/** Both so far. */
export interface Flowed {
  readonly tokens: number;
  readonly costNanoUsd: number;
}

/** What the store is told of a request that was admitted. */
export type Afterwards =
  | { readonly what: 'settle'; readonly settlement: Settlement }
  | { readonly what: 'renew'; readonly admission: Admission; readonly flowed: Flowed }
  /** a proxy admitted it out of a lease: an admission of the same key that the store knows as `leaseId` */
  | { readonly what: 'spend'; readonly admission: Admission; readonly leaseId: string }
  /** nothing is spent of this lease any more; it gives back what is left of it, and no more requests than the proxy says */
  | { readonly what: 'end'; readonly admission: Admission; readonly unspentRequests: number }
  /** counts against nothing: only what it used is told */
  | { readonly what: 'event'; readonly keyId: string; readonly event: object };

interface How {
  readonly clock: ClockText;
  /** names the call, so that it happens once however often it is sent; absent = what it tells is idempotent by itself */
  readonly name?: string;
}

/** Longer than a call is sent again (store-sender.ts). */
const keptMs = 360_000;

export function keyIdOf(item: Afterwards): string {
  if (item.what === 'settle') return item.settlement.keyId;
  return item.what === 'event' ? item.keyId : item.admission.keyId;
}

/** One call for what keys that share a tag are told, done in this order. */
export function toAfterwardsCall(items: readonly Afterwards[], { clock, name }: How): RedisScriptCall {
  const [first] = items;
  const keys = makeKeyList();
  if (name !== undefined && first !== undefined) keys.positionOf(`kw:{${tagOf(keyIdOf(first))}}:told:${name}`);
  const windows = describeWindows(items, keys);
  const monies = makeMonies(keys);
  const told = items.flatMap((item) => toArguments(item, { keys, monies, placeOf: windows.placeOf }));
  return {
    script: settleScript,
    keyCount: keys.list.length,
    parameters: [
      ...keys.list,
      clock,
      name === undefined ? '' : String(keptMs),
      String(windows.count),
      ...windows.described,
      String(monies.count),
      ...monies.described,
      ...told,
    ],
  };
}

export function toSettleCall(settlement: Settlement, clock: ClockText): RedisScriptCall {
  return toAfterwardsCall([{ what: 'settle', settlement }], { clock });
}

interface Described {
  readonly described: readonly string[];
  readonly count: number;
}

interface Places {
  readonly keys: KeyList;
  readonly monies: { readonly positionOf: (keyId: string) => number };
  readonly placeOf: (keyId: string, window: LimitWindow) => number;
}

function describeWindows(items: readonly Afterwards[], keys: KeyList): Described & Pick<Places, 'placeOf'> {
  const before = keys.list.length;
  const described: string[] = [];
  for (const item of items) {
    for (const window of windowsOf(item)) {
      const { length } = keys.list;
      if (keys.positionOf(windowKey(keyIdOf(item), window)) <= length) continue;
      const { widthMs, k } = shapeOf(window.span);
      described.push(toLineText(window.name), String(widthMs), String(k));
    }
  }
  const placeOf = (keyId: string, window: LimitWindow): number => keys.positionOf(windowKey(keyId, window)) - before;
  return { described, count: keys.list.length - before, placeOf };
}

function windowsOf(item: Afterwards): readonly LimitWindow[] {
  if (item.what === 'settle') return item.settlement.windows;
  return item.what === 'event' ? [] : item.admission.windows;
}

/** Keys with money, each once; positions from 1. */
function makeMonies(keys: KeyList): Described & Places['monies'] {
  const described: string[] = [];
  const positions = new Map<string, number>();
  return {
    described,
    get count() {
      return positions.size;
    },
    positionOf(keyId) {
      const known = positions.get(keyId);
      if (known !== undefined) return known;
      described.push(keyId, ...moneyKeys(keyId).map((key) => String(keys.positionOf(key))));
      positions.set(keyId, positions.size + 1);
      return positions.size;
    },
  };
}

function toArguments(item: Afterwards, places: Places): string[] {
  if (item.what === 'event') return ['event', String(places.keys.positionOf(usageStreamOf(item.keyId))), JSON.stringify(item.event)];
  if (item.what === 'spend') return toSpendArguments(item, places);
  if (item.what === 'settle') return toSettleArguments(item.settlement, places);
  if (item.what === 'end') return toEndArguments(item, places);
  const { admission, flowed } = item;
  return [
    'renew',
    ...toSubject(admission, places),
    toInteger(flowed.tokens),
    '',
    String(admission.holdMs),
    ...toMoney(admission.keyId, admission.money && { costNanoUsd: flowed.costNanoUsd }, places),
    '0',
    '',
    ...toPlaces(admission, places),
  ];
}

function toSettleArguments(settlement: Settlement, places: Places): string[] {
  const { keyId, tokens, refundRequest, money, event } = settlement;
  return [
    'settle',
    ...toSubject(settlement, places),
    toInteger(tokens),
    refundRequest ? '1' : '',
    '0',
    ...toMoney(keyId, refundRequest ? money && { costNanoUsd: 0 } : money, places),
    ...(event === undefined ? ['0', ''] : [String(places.keys.positionOf(usageStreamOf(keyId))), JSON.stringify(event)]),
    ...toPlaces(settlement, places),
  ];
}

/** As a release. */
function toEndArguments({ admission, unspentRequests }: Afterwards & { what: 'end' }, places: Places): string[] {
  const subject = toSubject(admission, places);
  const money = toMoney(admission.keyId, admission.money && { costNanoUsd: 0 }, places);
  return ['settle', ...subject, '0', String(unspentRequests), '0', ...money, '0', '', ...toPlaces(admission, places)];
}

function toSpendArguments({ admission, leaseId }: Afterwards & { what: 'spend' }, places: Places): string[] {
  const { keyId, windows, tokens, concurrency, holdMs, money } = admission;
  return [
    'spend',
    ...toSubject(admission, places, concurrency !== undefined),
    String(holdMs),
    String(places.keys.positionOf(markerKey(keyId, leaseId))),
    leaseId,
    String(money === undefined ? 0 : places.monies.positionOf(keyId)),
    toInteger(money?.boundNanoUsd ?? 0),
    toInteger(money?.floorNanoUsd ?? 0),
    toLetters(money?.budgets ?? []),
    String(windows.length),
    ...windows.flatMap((window) => [
      String(places.placeOf(keyId, window)),
      toInteger(amountOf(window, tokens)),
      window.unit === 'requests' ? 'r' : 't',
    ]),
  ];
}

/** Marker, slots and id of the request. */
function toSubject({ keyId, requestId }: { keyId: string; requestId: string }, { keys }: Places, hasSlots = true): string[] {
  return [String(keys.positionOf(markerKey(keyId, requestId))), String(hasSlots ? keys.positionOf(slotsKey(keyId)) : 0), requestId];
}

type Cost = Pick<NonNullable<Settlement['money']>, 'costNanoUsd' | 'knownMs'> & Partial<Pick<NonNullable<Settlement['money']>, 'budgets'>>;

/** Which money, the cost, and the letters of the budgets that are charged although the reservation is gone, with when that was known. */
function toMoney(keyId: string, cost: Cost | undefined, { monies }: Places): string[] {
  if (cost === undefined) return ['0', '0', '', '0'];
  const { costNanoUsd, knownMs, budgets = [] } = cost;
  const lost = knownMs === undefined ? ['', '0'] : [toLetters(budgets), toInteger(knownMs)];
  return [String(monies.positionOf(keyId)), toInteger(costNanoUsd), ...lost];
}

function toLetters(budgets: readonly BudgetLimit[]): string {
  return budgets.map(({ period }) => budgetLetter(period)).join('');
}

function toPlaces({ keyId, windows }: { keyId: string; windows: readonly LimitWindow[] }, { placeOf }: Places): string[] {
  return [String(windows.length), ...windows.map((window) => String(placeOf(keyId, window)))];
}

/** What settle.lua says that each key has spent. */
export function toSpent(reply: unknown): (readonly [keyId: string, spent: unknown])[] {
  if (!Array.isArray(reply)) return [];
  return Array.from({ length: Math.floor(reply.length / 2) }, (_, index) => [String(reply[index * 2]), reply[index * 2 + 1]]);
}
