export interface SettlementQueue<T> {
  add(item: T): void;
  /** sends what waits now; resolves when that has arrived or is given up */
  flush(): Promise<void>;
  /** the store is back: what waits is sent now */
  kick(): void;
  readonly depth: number;
}

interface Options<T> {
  /** sends a batch in order and gives those that did not arrive; never rejects */
  readonly send: (batch: readonly T[]) => Promise<readonly T[]>;
  readonly now: () => number;
  readonly batchMs: number;
  /** after so long nothing in the store waits for it any more */
  readonly keepMs: number;
  readonly most: number;
  /** how long `flush` waits for a store that does not answer */
  readonly flushMs: number;
}

interface Waiting<T> {
  readonly item: T;
  readonly addedMs: number;
}

/**
 * Collects what may reach the store a little later and sends it in batches, one at a time and in order. What did not arrive is sent again (it must be idempotent);
 * the oldest is dropped beyond `most`, and everything older than `keepMs`.
 */
export function makeSettlementQueue<T>({ send, now, batchMs, keepMs, most, flushMs }: Options<T>): SettlementQueue<T> {
  let waiting: Waiting<T>[] = [];
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  const retryMs = batchMs * 10;

  const schedule = (ms: number): void => {
    timer ??= setTimeout(() => void drain(), ms);
  };
  const sendAll = async (): Promise<void> => {
    const batch = waiting.filter(({ addedMs }) => now() - addedMs < keepMs);
    waiting = [];
    const failed = new Set(await send(batch.map(({ item }) => item)));
    waiting = [...batch.filter(({ item }) => failed.has(item)), ...waiting].slice(-most);
    if (waiting.length > 0) schedule(failed.size > 0 ? retryMs : batchMs);
  };
  const drain = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    while (sending !== undefined) await sending;
    if (waiting.length === 0) return;
    sending = sendAll().finally(() => {
      sending = undefined;
    });
    await sending;
  };
  return {
    add(item) {
      waiting.push({ item, addedMs: now() });
      if (waiting.length > most) waiting.shift();
      schedule(batchMs);
    },
    async flush() {
      let givenUp = false;
      let giveUp: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        giveUp = setTimeout(() => {
          givenUp = true;
          resolve();
        }, flushMs);
      });
      const sendEverything = async (): Promise<void> => {
        await drain();
        while (waiting.length > 0 && !givenUp) {
          await new Promise((resolve) => setTimeout(resolve, batchMs));
          await drain();
        }
      };
      await Promise.race([sendEverything(), late]);
      clearTimeout(giveUp);
    },
    kick() {
      if (waiting.length > 0) void drain();
    },
    get depth() {
      return waiting.length;
    },
  };
}
