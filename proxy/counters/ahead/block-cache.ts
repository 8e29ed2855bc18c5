import { amountOf } from '../answers.ts';
import type { Admission, AdmitAnswer, Settlement } from '../counters.ts';
import { withHolder } from '../holder.ts';
import { isSameBearer, limitsName } from '../limits-name.ts';
import type { Freed } from '../store/pack-calls.ts';

type Refused = Extract<AdmitAnswer, { outcome: 'refused' | 'exhausted' }>;

/** Refusals that are known to hold still, so that a client that hammers costs the store nothing. */
export interface BlockCache {
  /** the answer that the store would give; undefined: it has to be asked */
  find(admission: Admission): Refused | undefined;
  /** `askedMs`: the `now` of when it was asked for */
  note(admission: Admission, answer: AdmitAnswer, askedMs: number): void;
  /** what this proxy gave back itself */
  settled(settlement: Settlement): void;
  /** the store knows that this was given back: what it said before of that holds no more, also where its answer is still on its way here */
  freed(freed: Freed): void;
  /** has it heard of that since `askedMs`? */
  hasFreed(wanted: Freed, askedMs: number): boolean;
  readonly now: () => number;
  forget(keyId: string): void;
}

interface Block {
  readonly admission: Admission;
  readonly answer: Refused;
  readonly notedMs: number;
  readonly untilMs: number;
}

/** Settlements of other proxies free tokens and money at any moment. */
const longestFreedMs = 1_000;
/** Requests are given back rarely, and a counter that was reset shows at the latest after so long; a day window is asked for again then. */
const longestMs = 60_000;
const mostKeys = 10_000;
/** One key's admissions differ by the windows of the model. */
const mostOfOneKey = 16;

/** `now` in milliseconds of a clock that does not go back. */
export function makeBlockCache({ now }: { now: () => number }): BlockCache {
  const blocks = new Map<string, Map<string, Block>>();
  /** when something of a key was given back last, and when requests were */
  const givenBack = new Map<string, { readonly anyMs: number; readonly requestsMs: number }>();

  const drop = (keyId: string, name: string): void => {
    const ofKey = blocks.get(keyId);
    ofKey?.delete(name);
    if (ofKey?.size === 0) blocks.delete(keyId);
  };
  const dropFreed = ({ keyId, requests }: Freed): void => {
    for (const [name, block] of blocks.get(keyId) ?? []) if (requests || isOfReservations(block)) drop(keyId, name);
  };
  const hasFreed = ({ keyId, requests }: Freed, askedMs: number): boolean => {
    const last = givenBack.get(keyId);
    return last !== undefined && (requests ? last.requestsMs : last.anyMs) >= askedMs;
  };
  return {
    now,
    find(admission) {
      const name = limitsName(admission);
      const { keyId } = withHolder(admission);
      const block = blocks.get(keyId)?.get(name);
      if (block === undefined) return undefined;
      const elapsedMs = now() - block.notedMs;
      if (elapsedMs < 0 || now() >= block.untilMs || !isSameBearer(block.admission, admission)) {
        drop(keyId, name);
        return undefined;
      }
      return holdsFor(block, admission) ? later(block.answer, elapsedMs) : undefined;
    },
    note(admission, answer, askedMs) {
      const keptMs = toKeptMs(answer);
      if (keptMs === undefined || (answer.outcome !== 'refused' && answer.outcome !== 'exhausted')) return;
      const block = { admission, answer, notedMs: now(), untilMs: now() + keptMs };
      const { keyId } = withHolder(admission);
      if (hasFreed({ keyId, requests: !isOfReservations(block) }, askedMs)) return;
      const ofKey = blocks.get(keyId) ?? new Map<string, Block>();
      ofKey.set(limitsName(admission), block);
      blocks.set(keyId, ofKey);
      dropOldest(ofKey, mostOfOneKey);
      dropOldest(blocks, mostKeys);
    },
    settled: (settlement) => dropFreed({ keyId: withHolder(settlement).keyId, requests: settlement.refundRequest }),
    freed(freed) {
      const { keyId, requests } = freed;
      const requestsMs = requests ? now() : (givenBack.get(keyId)?.requestsMs ?? -Infinity);
      // the latest last
      givenBack.delete(keyId);
      givenBack.set(keyId, { anyMs: now(), requestsMs });
      dropOldest(givenBack, mostKeys);
      dropFreed(freed);
    },
    hasFreed,
    forget: (keyId) => void blocks.delete(keyId),
  };
}

/** Of requests alone it stays true when others end. */
function isOfReservations({ admission, answer }: Block): boolean {
  // tokens that were booked now may also make the wait longer than that for requests
  return answer.outcome === 'exhausted' || admission.windows.some(({ unit }) => unit === 'tokens');
}

/** Undefined: not to be remembered. */
function toKeptMs(answer: AdmitAnswer): number | undefined {
  if (answer.outcome === 'exhausted')
    return answer.degraded ? undefined : Math.min(longestFreedMs, answer.budget.resetMs ?? longestFreedMs);
  if (answer.outcome !== 'refused' || answer.degraded || answer.unit === 'concurrency') return undefined;
  return Math.min(answer.unit === 'tokens' ? longestFreedMs : longestMs, answer.retryAfterMs);
}

/** A request of another size would wait for another time, unless all its tokens had room where the block came from. */
function holdsFor({ admission, answer }: Block, asked: Admission): boolean {
  if (answer.outcome === 'exhausted') return asked.money?.boundNanoUsd === admission.money?.boundNanoUsd;
  if (asked.tokens === admission.tokens) return true;
  return admission.windows.every((window, position) => {
    const amount = amountOf(window, asked.tokens);
    if (window.unit === 'requests' || window.shadow || amount === amountOf(window, admission.tokens)) return true;
    return window.name !== answer.limitName && amount <= (answer.windows[position]?.remaining ?? 0);
  });
}

/** As the store would answer now, the time told being exact: what was told, less what has passed. */
function later(answer: Refused, elapsedMs: number): Refused {
  const passedMs = Math.floor(elapsedMs);
  const windows = answer.windows.map((window) => ({ ...window, resetMs: Math.max(0, window.resetMs - passedMs) }));
  const timeMs = answer.timeMs + passedMs;
  if (answer.outcome === 'refused') return { ...answer, timeMs, windows, retryAfterMs: answer.retryAfterMs - passedMs };
  const { resetMs, ...budget } = answer.budget;
  return { ...answer, timeMs, windows, budget: { ...budget, ...(resetMs === undefined ? {} : { resetMs: resetMs - passedMs }) } };
}

function dropOldest(map: Map<string, unknown>, most: number): void {
  const [oldest] = map.keys();
  if (map.size > most && oldest !== undefined) map.delete(oldest);
}
