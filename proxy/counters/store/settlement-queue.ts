export interface SettlementQueue<T, C> {
  add(item: T): void;
  /** sends a part of what waits before its time; resolves when that has arrived or was tried. undefined: nothing that is wanted waits or is on its way */
  hasten(part: Part<T, C>): Promise<void> | undefined;
  /** sends what waits now; resolves when that has arrived or is given up */
  flush(): Promise<void>;
  /** the store is back: what waits is sent now */
  kick(): void;
  readonly depth: number;
}

/** What of the queue must not wait. */
export interface Part<T, C> {
  readonly isWanted: (item: T) => boolean;
  /** of what is on its way */
  readonly isWantedCall: (call: C) => boolean;
  /** everything that is wanted, and what must not be overtaken by it */
  readonly goesAlong: (item: T) => boolean;
}

/** A call, and where among the items those are that it tells; the oldest first. */
export interface Packed<C> {
  readonly call: C;
  readonly positions: readonly number[];
}

interface Options<T, C> {
  /** puts what waits into calls, each item into one */
  readonly pack: (items: readonly T[]) => readonly Packed<C>[];
  /** sends calls in order and gives those that did not arrive; never rejects */
  readonly send: (calls: readonly C[]) => Promise<readonly C[]>;
  readonly now: () => number;
  readonly batchMs: number;
  /** after so long nothing in the store waits for it any more */
  readonly keepMs: number;
  /** items */
  readonly most: number;
  /** how long `flush` waits for a store that does not answer */
  readonly flushMs: number;
}

interface Waiting<T> {
  readonly item: T;
  readonly addedMs: number;
}

interface Ready<C> {
  readonly call: C;
  readonly addedMs: number;
  readonly items: number;
}

/**
 * Collects what may reach the store a little later and sends it in few calls, one batch at a time and in order. A call that did not arrive is sent again as it was, before
 * what came later: it must be idempotent, and in another call its items would not be. The oldest is dropped beyond `most`, and everything older than `keepMs`.
 */
export function makeSettlementQueue<T, C>(options: Options<T, C>): SettlementQueue<T, C> {
  const { pack, send, now, batchMs, keepMs, most, flushMs } = options;
  let waiting: Waiting<T>[] = [];
  let again: Ready<C>[] = [];
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  let onItsWay: readonly Ready<C>[] = [];
  const retryMs = batchMs * 10;

  const schedule = (ms: number): void => {
    timer ??= setTimeout(() => void drain(), ms);
  };
  const isFresh = ({ addedMs }: { addedMs: number }): boolean => now() - addedMs < keepMs;
  const countAll = (): number => again.reduce((sum, { items }) => sum + items, waiting.length);
  const dropOldest = (): void => {
    while (again.length > 0 && countAll() > most) again.shift();
    if (waiting.length > most) waiting = waiting.slice(-most);
  };
  /** What did not arrive goes with everything, since it was first. */
  const takeCalls = (isTaken: (item: T) => boolean): Ready<C>[] => {
    const fresh = waiting.filter((entry) => isFresh(entry) && isTaken(entry.item));
    const packed = pack(fresh.map(({ item }) => item));
    const calls = packed.map(({ call, positions }) => ({
      call,
      addedMs: fresh[positions[0] ?? 0]?.addedMs ?? now(),
      items: positions.length,
    }));
    const all = [...again.filter(isFresh), ...calls];
    [waiting, again] = [waiting.filter(({ item }) => !isTaken(item)), []];
    return all;
  };
  const sendCalls = async (calls: readonly Ready<C>[]): Promise<void> => {
    onItsWay = calls;
    const failed = new Set(await send(calls.map(({ call }) => call)));
    onItsWay = [];
    again = calls.filter(({ call }) => failed.has(call));
    dropOldest();
    if (countAll() > 0) schedule(failed.size > 0 ? retryMs : batchMs);
  };
  const isAny = (): boolean => true;
  const sendTaken = async (isTaken: (item: T) => boolean): Promise<void> => {
    sending = sendCalls(takeCalls(isTaken)).finally(() => {
      sending = undefined;
    });
    await sending;
  };
  const drain = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    while (sending !== undefined) await sending;
    if (countAll() > 0) await sendTaken(isAny);
  };
  return {
    add(item) {
      waiting.push({ item, addedMs: now() });
      if (waiting.length > most || again.length > 0) dropOldest();
      schedule(batchMs);
    },
    hasten({ isWanted, isWantedCall, goesAlong }) {
      const waits = (): boolean => waiting.some(({ item }) => isWanted(item));
      if (!waits() && !onItsWay.some(({ call }) => isWantedCall(call))) return undefined;
      return (async () => {
        while (sending !== undefined) await sending;
        // a store that has just not taken something will be told in its time
        if (waits() && again.length === 0) await sendTaken(goesAlong);
      })();
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
        while (countAll() > 0 && !givenUp) {
          await new Promise((resolve) => setTimeout(resolve, batchMs));
          await drain();
        }
      };
      await Promise.race([sendEverything(), late]);
      clearTimeout(giveUp);
    },
    kick() {
      if (countAll() > 0) void drain();
    },
    get depth() {
      return countAll();
    },
  };
}
