import { amountOf } from './answers.ts';
import type { Admission, AdmitAnswer, Settlement } from './counters.ts';
import { isSameBearer, limitsName } from './limits-name.ts';

type Refused = Extract<AdmitAnswer, { outcome: 'refused' | 'exhausted' }>;

/** Refusals that are known to hold still, so that a client that hammers costs the store nothing. */
export interface BlockCache {
  /** the answer that the store would give; undefined: it has to be asked */
  find(admission: Admission): Refused | undefined;
  note(admission: Admission, answer: AdmitAnswer): void;
  /** what this proxy gave back itself */
  settled(settlement: Settlement): void;
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

  const drop = (keyId: string, name: string): void => {
    const ofKey = blocks.get(keyId);
    ofKey?.delete(name);
    if (ofKey?.size === 0) blocks.delete(keyId);
  };
  return {
    find(admission) {
      const name = limitsName(admission);
      const block = blocks.get(admission.keyId)?.get(name);
      if (block === undefined) return undefined;
      const elapsedMs = now() - block.notedMs;
      if (elapsedMs < 0 || now() >= block.untilMs || !isSameBearer(block.admission, admission)) {
        drop(admission.keyId, name);
        return undefined;
      }
      return holdsFor(block, admission) ? later(block.answer, elapsedMs) : undefined;
    },
    note(admission, answer) {
      const keptMs = toKeptMs(answer);
      if (keptMs === undefined || (answer.outcome !== 'refused' && answer.outcome !== 'exhausted')) return;
      const ofKey = blocks.get(admission.keyId) ?? new Map<string, Block>();
      ofKey.set(limitsName(admission), { admission, answer, notedMs: now(), untilMs: now() + keptMs });
      blocks.set(admission.keyId, ofKey);
      dropOldest(ofKey, mostOfOneKey);
      dropOldest(blocks, mostKeys);
    },
    settled({ keyId, refundRequest }) {
      for (const [name, { admission, answer }] of blocks.get(keyId) ?? []) {
        // tokens that were booked now may also make the wait longer than that for requests
        const isOfTokens = admission.windows.some(({ unit }) => unit === 'tokens');
        if (refundRequest || answer.outcome === 'exhausted' || isOfTokens) drop(keyId, name);
      }
    },
    forget: (keyId) => void blocks.delete(keyId),
  };
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
