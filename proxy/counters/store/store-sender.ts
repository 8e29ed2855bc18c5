import { randomUUID } from 'node:crypto';
import { tagOf } from '../../../core/hash-tag.ts';
import { type Afterwards, toAfterwardsCall, toSpent } from '../scripts/afterwards.ts';
import { type Freed, packCalls, type StoreCall, tagOfTold, toFreed, type Told } from './pack-calls.ts';
import type { ScriptStore } from '../scripts/script-store.ts';
import { makeSettlementQueue } from './settlement-queue.ts';

export interface StoreSender {
  /** together with others of its tag, a little later, in order and once */
  add(told: Told): void;
  /**
   * On the connection of the admissions, so that no later admission of this process overtakes it. Only of a request that the store has admitted itself: what was told of a request
   * in a batch must not be overtaken by its end.
   */
  sendAtOnce(item: Afterwards, command: 'settle' | 'release'): void;
  /** sends at once what gives this back; resolves when that has arrived or was tried. undefined: the store knows of all of it */
  hasten(wanted: Freed): Promise<void> | undefined;
  /** the store is back */
  kick(): void;
  /** resolves when what waits in the batch for these tags has arrived or is given up */
  tell(isMeant: (tag: string) => boolean): Promise<void>;
  /** the same of all tags, and of what was sent at once */
  flush(): Promise<void>;
  readonly depth: number;
}

interface Options {
  readonly admissions: ScriptStore;
  readonly settlements: ScriptStore;
  readonly monotonicNow: () => number;
  /** takes the place of Redis' clock, for tests; '' in production */
  readonly clockText: () => string;
  readonly onSent: (command: StoreCall['command']) => void;
  readonly onSpend: (keyId: string, reply: unknown) => void;
  /** the store knows that */
  readonly onFreed: (freed: Freed) => void;
}

const batchMs = 50;
/** Longer than any hold: afterwards the reservation is gone, and so is what a settlement could do. */
const keepMs = 300_000;
const mostWaiting = 20_000;
/** To one master: so much more is held in memory for each that hangs. */
const mostOnTheirWay = 4_096;
const flushMs = 1_000;

/** Sends settlements, renewals and releases to the store until they have arrived. A call may arrive twice, and does nothing the second time. */
export function makeStoreSender({ admissions, settlements, monotonicNow, clockText, onSent, onSpend, onFreed }: Options): StoreSender {
  const immediate = new Set<Promise<unknown>>();
  const process = randomUUID();
  let calls = 0;
  const nameNext = (): string => {
    calls += 1;
    return `${process}:${calls}`;
  };
  const heard = ({ command, frees = [] }: StoreCall, reply: unknown): void => {
    for (const freed of frees) onFreed(freed);
    if (command === 'push') return;
    for (const [keyId, spent] of toSpent(reply)) onSpend(keyId, spent);
  };
  const queue = makeSettlementQueue<Told, StoreCall>({
    laneOf: tagOfTold,
    placeOf: (tag) => settlements.placeOf(tag),
    pack: (told) => packCalls(told, { clock: clockText(), nameNext }),
    async send(batch) {
      for (const { command } of batch) onSent(command);
      const results = await settlements.runAll(batch);
      for (const [position, call] of batch.entries()) {
        const result = results[position];
        if (result?.status === 'fulfilled') heard(call, result.value);
      }
      return batch.filter((_, position) => results[position]?.status !== 'fulfilled' && isWorthRetry(results[position]));
    },
    now: monotonicNow,
    batchMs,
    keepMs,
    most: mostWaiting,
    mostOnTheirWay,
    flushMs,
  });
  return {
    add: (told) => queue.add(told),
    sendAtOnce(item, command) {
      const call: StoreCall = {
        ...toAfterwardsCall([item], { clock: clockText(), name: nameNext() }),
        command,
        frees: toFreed(item),
      };
      onSent(command);
      const sent = admissions
        .run(call)
        .then(
          (reply) => heard(call, reply),
          () => queue.add({ what: 'call', call }),
        )
        .finally(() => immediate.delete(sent));
      immediate.add(sent);
    },
    hasten(wanted) {
      const isWanted = ({ keyId, requests }: Freed): boolean => keyId === wanted.keyId && (requests || !wanted.requests);
      return queue.hasten(tagOf(wanted.keyId), {
        isWanted: (told) => toFreed(told).some(isWanted),
        isWantedCall: ({ frees = [] }) => frees.some(isWanted),
      });
    },
    kick: () => queue.kick(),
    tell: (isMeant) => queue.flush(isMeant),
    async flush() {
      await Promise.all([queue.flush(), settledWithin(immediate, flushMs)]);
    },
    get depth() {
      return queue.depth;
    },
  };
}

async function settledWithin(promises: ReadonlySet<Promise<unknown>>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([Promise.allSettled(promises), late]);
  clearTimeout(timer);
}

/** Of what a store answers with an error of its own, what it would not answer for ever: it is loading, full, being promoted, or cut off from others. */
const passing = /^(?:LOADING|OOM|MISCONF|READONLY|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|BUSY|UNKILLABLE)\b/;

/** A script's mistake would be answered so for ever. */
function isWorthRetry(result: PromiseSettledResult<unknown> | undefined): boolean {
  if (result?.status !== 'rejected' || !(result.reason instanceof Error) || result.reason.name !== 'ReplyError') return true;
  return passing.test(result.reason.message);
}
