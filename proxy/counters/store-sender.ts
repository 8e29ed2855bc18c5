import type { RedisScriptCall } from '../../runtime/redis-script.ts';
import type { ScriptStore } from './script-store.ts';
import { makeSettlementQueue } from './settlement-queue.ts';

/** What the store is told off the request path. `keyId`: of one that moves money, whose reply tells what the key has spent. */
export interface StoreCall extends RedisScriptCall {
  readonly command: 'settle' | 'renew' | 'release' | 'push';
  readonly keyId?: string;
}

export interface StoreSender {
  /** in a batch, a little later */
  add(call: StoreCall): void;
  /** on the connection of the admissions, so that no later admission of this process overtakes it */
  sendAtOnce(call: StoreCall): void;
  /** the store is back */
  kick(): void;
  /** resolves when what waits in the batch has arrived or is given up */
  tell(): Promise<void>;
  /** the same, of everything that was handed over */
  flush(): Promise<void>;
  readonly depth: number;
}

interface Options {
  readonly admissions: ScriptStore;
  readonly settlements: ScriptStore;
  readonly monotonicNow: () => number;
  readonly onSent: (command: StoreCall['command']) => void;
  readonly onSpend: (keyId: string, reply: unknown) => void;
}

const batchMs = 50;
/** Longer than any hold: afterwards the reservation is gone, and so is what a settlement could do. */
const keepMs = 300_000;
const mostWaiting = 20_000;
const flushMs = 1_000;

/** Sends settlements, renewals and releases to the store until they have arrived; all of them may arrive twice. */
export function makeStoreSender({ admissions, settlements, monotonicNow, onSent, onSpend }: Options): StoreSender {
  const immediate = new Set<Promise<unknown>>();
  const heard = ({ keyId }: StoreCall, reply: unknown): void => {
    if (keyId !== undefined) onSpend(keyId, reply);
  };
  const queue = makeSettlementQueue<StoreCall>({
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
    flushMs,
  });
  return {
    add: (call) => queue.add(call),
    sendAtOnce(call) {
      onSent(call.command);
      const sent = admissions
        .run(call)
        .then(
          (reply) => heard(call, reply),
          () => queue.add(call),
        )
        .finally(() => immediate.delete(sent));
      immediate.add(sent);
    },
    kick: () => queue.kick(),
    tell: () => queue.flush(),
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

/** A store that answered with an error of its own (a script's mistake) would answer so for ever. */
function isWorthRetry(result: PromiseSettledResult<unknown> | undefined): boolean {
  return result?.status !== 'rejected' || !(result.reason instanceof Error) || result.reason.name !== 'ReplyError';
}
