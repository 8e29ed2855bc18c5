import { tagOf } from '../../../core/hash-tag.ts';
import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import { toSettleCall } from '../scripts/afterwards.ts';
import type { Admission, Settlement } from '../counters.ts';
import { OwnCharges } from './own-charges.ts';
import { toPushCall } from '../scripts/push-call.ts';
import { anyEpoch } from '../scripts/budget-scripts.ts';
import { tombstoneMs } from '../budget-store.ts';
import { toAdmitCall } from '../scripts/scripts.ts';

/**
 * What the store has to be told when it is back: what this process decided meanwhile, and, where it comes back as another one (restarted, or a replica that was promoted), what it
 * had decided itself, as far as it has lost that (push-back.lua). Ended requests as charges per bucket; running ones are admitted again under a name of their own, counted and
 * never refused, so that their end is settled as any other's.
 */
export interface PushBack {
  /** the life of the store that holds this tag is known from now on */
  began(tag: string): void;
  /** by the clock of the store; `here`: by this process alone */
  admitted(admission: Admission, how: { readonly timeMs: number; readonly here: boolean }): void;
  /** the settlement as the store has to be sent it: without limits where it knows nothing of the request, because what that used is pushed */
  ended(settlement: Settlement): Settlement;
  /** the store was, or is being, told of this running request in a batch: its end must not overtake that */
  wasTold(request: { readonly keyId: string; readonly requestId: string }): boolean;
  /** as the store knows the running request; undefined: not at all */
  asKnown(admission: Admission): Admission | undefined;
  /** is there anything to tell a part of the store that is there? */
  readonly waiting: boolean;
  /** what it has to be told; whoever takes it sends it until it has arrived */
  take(): readonly RedisScriptCall[];
  /** the running requests of a key that the store has decided or was told of, in case it has forgotten them: nothing happens where it has not */
  adopted(keyId: string): readonly RedisScriptCall[];
}

interface Running {
  readonly admission: Admission;
  readonly timeMs: number;
  readonly here: boolean;
  /** when the store was last told of it, by its clock */
  knownMs: number;
  /** it was told in a batch */
  told: boolean;
  /** how the store knows it */
  known?: Admission;
}

export interface PushBackOptions {
  /** unlike that of every other process */
  readonly process: string;
  readonly now: () => number;
  /** the part of the store that holds this tag is there */
  readonly readyFor: (tag: string) => boolean;
  /** names the life of that part; '' = not known */
  readonly epochOf: (tag: string) => string;
  /** takes the place of Redis' clock, for tests; '' in production */
  readonly clockText: () => string;
}

/** Beyond it the oldest are forgotten: what they use is not pushed. */
const mostRunning = 100_000;
const mostCosts = 20_000;
/** Until the settlement that is sent right behind. */
const costHoldMs = 30_000;

export function makePushBack({ process, now, readyFor, epochOf, clockText }: PushBackOptions): PushBack {
  const charges = new OwnCharges();
  const running = new Map<string, Running>();
  const unknownRunning = new Set<string>();
  /** what requests cost that began and ended here: told as a reservation and its settlement, so that it counts once */
  let unknownCosts: Settlement[] = [];
  const epochs = new Map<string, string>();
  let pushes = 0;

  const charge = (
    entry: Running,
    windows: Admission['windows'],
    what: { atMs: number; amount: number; unit: 'requests' | 'tokens' },
  ): void => {
    const here = !isStores(entry);
    for (const window of windows) {
      if (window.unit === what.unit) charges.add({ keyId: entry.admission.keyId, window, atMs: what.atMs, amount: what.amount, here });
    }
  };
  /** Counted beside the windows of requests, in which its charge is pushed. */
  const adopt = (entry: Running): RedisScriptCall | undefined => {
    const adopted = toAdopted(entry);
    if (adopted.windows.length === 0 && adopted.concurrency === undefined && adopted.money === undefined) return undefined;
    if (entry.here && entry.known === undefined) {
      entry.known = adopted;
      entry.knownMs = now();
    }
    entry.told = true;
    return toAdmitCall([adopted], clockText(), anyEpoch);
  };
  const pushKey = (keyId: string, all: boolean): RedisScriptCall | undefined => {
    const windows = charges.windowsOf(keyId, now());
    pushes += 1;
    const epoch = epochOf(tagOf(keyId));
    const call = toPushCall({ keyId, push: `${process}:${pushes}`, epoch, windows, all }, clockText());
    charges.told(keyId);
    return call;
  };
  const noteCost = (settlement: Settlement): void => {
    unknownCosts = [...unknownCosts, settlement].slice(-mostCosts);
  };
  const takeCosts = (): RedisScriptCall[] => {
    const told = unknownCosts.filter(({ keyId }) => isReady(keyId));
    unknownCosts = unknownCosts.filter(({ keyId }) => !isReady(keyId));
    return told.flatMap(({ requestId, keyId, money }) => {
      if (money === undefined) return [];
      const id = `${requestId}+`;
      const budgets = money.budgets.map((budget) => ({ ...budget, shadow: true }));
      const held = { budgets, boundNanoUsd: money.costNanoUsd, floorNanoUsd: money.costNanoUsd };
      const none = { requestId: id, keyId, windows: [], tokens: 0 };
      return [
        toAdmitCall([{ ...none, money: held, holdMs: costHoldMs }], clockText(), anyEpoch),
        toSettleCall({ ...none, money, concurrency: false, refundRequest: false }, clockText()),
      ];
    });
  };
  const isReady = (keyId: string): boolean => readyFor(tagOf(keyId));
  /** Tags whose store has begun another life since this process last told it anything. */
  const changedTags = (): ReadonlySet<string> => {
    const changed = new Set<string>();
    for (const [tag, known] of epochs) {
      const epoch = readyFor(tag) ? epochOf(tag) : '';
      if (epoch === '' || epoch === known) continue;
      epochs.set(tag, epoch);
      changed.add(tag);
    }
    return changed;
  };
  const keysToTell = (changed: ReadonlySet<string>): ReadonlySet<string> => {
    const reminded = changed.size === 0 ? [] : charges.keys.filter((keyId) => changed.has(tagOf(keyId)));
    return new Set([...[...charges.unknownKeys].filter(isReady), ...reminded]);
  };
  const requestsToTell = (changed: ReadonlySet<string>): readonly Running[] => {
    const unknown = [...unknownRunning].flatMap((id) => running.get(id) ?? []).filter(({ admission }) => isReady(admission.keyId));
    if (changed.size === 0) return unknown;
    const reminded = [...running.values()].filter((entry) => isStores(entry) && changed.has(tagOf(entry.admission.keyId)));
    return [...unknown, ...reminded];
  };
  return {
    began(tag) {
      const known = epochs.get(tag);
      // until now only its master was known, and that is the same
      if (known === undefined || epochOf(tag).startsWith(known)) epochs.set(tag, epochOf(tag));
    },
    admitted(admission, { timeMs, here }) {
      if (running.has(nameOf(admission))) return;
      const tag = tagOf(admission.keyId);
      if (!epochs.has(tag) && epochOf(tag) !== '') epochs.set(tag, epochOf(tag));
      const entry: Running = { admission, timeMs, here, knownMs: timeMs, told: false };
      running.set(nameOf(admission), entry);
      if (here) unknownRunning.add(nameOf(admission));
      charge(entry, admission.windows, { atMs: timeMs, amount: 1, unit: 'requests' });
      const [oldest] = running.keys();
      if (running.size <= mostRunning || oldest === undefined) return;
      running.delete(oldest);
      unknownRunning.delete(oldest);
    },
    ended(settlement) {
      const entry = running.get(nameOf(settlement));
      running.delete(nameOf(settlement));
      unknownRunning.delete(nameOf(settlement));
      if (entry === undefined) return settlement;
      if (settlement.refundRequest) charge(entry, settlement.windows, { atMs: entry.timeMs, amount: -1, unit: 'requests' });
      charge(entry, settlement.windows, { atMs: now(), amount: settlement.tokens, unit: 'tokens' });
      const { money, ...rest } = settlement;
      if (!isStores(entry)) {
        if (money !== undefined && !settlement.refundRequest) noteCost(settlement);
        return { ...rest, windows: [], concurrency: false };
      }
      const told = { ...rest, ...(money && { money: { ...money, knownMs: entry.knownMs } }) };
      if (entry.known === undefined) return told;
      const { requestId, windows, concurrency } = entry.known;
      return { ...told, requestId, windows, concurrency: concurrency !== undefined };
    },
    wasTold: (request) => running.get(nameOf(request))?.told === true,
    asKnown(admission) {
      const entry = running.get(nameOf(admission));
      if (entry === undefined) return admission;
      // what it has not heard of for so long it has forgotten, and has not lost
      if (now() - entry.knownMs < tombstoneMs) entry.knownMs = now();
      return entry.known ?? (entry.here ? undefined : admission);
    },
    get waiting() {
      const keyIds = [
        ...charges.unknownKeys,
        ...unknownCosts.map(({ keyId }) => keyId),
        ...[...unknownRunning].flatMap((id) => running.get(id)?.admission.keyId ?? []),
      ];
      return keyIds.some(isReady);
    },
    take() {
      const changed = changedTags();
      const pushed = [...keysToTell(changed)].map((keyId) => pushKey(keyId, changed.has(tagOf(keyId))));
      const entries = requestsToTell(changed);
      for (const { admission } of entries) unknownRunning.delete(nameOf(admission));
      return [...pushed, ...entries.map(adopt), ...takeCosts()].filter((call) => call !== undefined);
    },
    adopted: (keyId) =>
      [...running.values()].flatMap((entry) => (entry.admission.keyId === keyId && isStores(entry) ? (adopt(entry) ?? []) : [])),
  };
}

/** The store knows of it, or did before it lost its data: it let it in itself, or was told of it after an outage. */
function isStores({ here, known }: Running): boolean {
  return !here || known !== undefined;
}

/**
 * The admission that takes a running request over: it counts and is never refused. A request that the store decided keeps its name, so that nothing happens where the store still
 * knows it; one that was decided here gets another, because a release of it may still be on its way (it is sent after every late answer).
 */
function toAdopted({ admission, here }: Running): Admission {
  const { concurrency, money, ...rest } = admission;
  return {
    ...rest,
    requestId: here ? `${admission.requestId}+` : admission.requestId,
    windows: admission.windows.filter(({ unit }) => unit === 'tokens').map((window) => ({ ...window, shadow: true })),
    ...(concurrency && { concurrency: { ...concurrency, shadow: true } }),
    ...(money && { money: { ...money, budgets: money.budgets.map((budget) => ({ ...budget, shadow: true })) } }),
  };
}

/** One request may be counted for its key and for a Channel. */
function nameOf({ keyId, requestId }: { readonly keyId: string; readonly requestId: string }): string {
  return `${keyId}\n${requestId}`;
}
