export interface SettlementQueue<T, C> {
  add(item: T): void;
  /** sends what waits of a lane before its time; resolves when that has arrived or was tried. undefined: nothing that is wanted waits or is on its way */
  hasten(lane: string, wanted: Wanted<T, C>): Promise<void> | undefined;
  /** sends what waits now in these lanes, or in all; resolves when that has arrived or is given up */
  flush(isMeant?: (lane: string) => boolean): Promise<void>;
  /** a part of the store is back: what waits is sent now */
  kick(): void;
  readonly depth: number;
}

/** What of a lane must not wait. */
export interface Wanted<T, C> {
  readonly isWanted: (item: T) => boolean;
  /** of what is on its way */
  readonly isWantedCall: (call: C) => boolean;
}

/** A call, and where among the items those are that it tells; the oldest first. */
export interface Packed<C> {
  readonly call: C;
  readonly positions: readonly number[];
}

interface Options<T, C> {
  /** what has the same lane arrives in order */
  readonly laneOf: (item: T) => string;
  /** lanes at the same place are sent in one go and wait for one answer; of another place nobody waits */
  readonly placeOf: (lane: string) => string;
  /** puts what waits in a lane into calls, each item into one */
  readonly pack: (items: readonly T[]) => readonly Packed<C>[];
  /** sends calls for one place in order and gives those that did not arrive; never rejects */
  readonly send: (calls: readonly C[]) => Promise<readonly C[]>;
  readonly now: () => number;
  readonly batchMs: number;
  /** after so long nothing in the store waits for it any more */
  readonly keepMs: number;
  /** items that wait, in all lanes together */
  readonly most: number;
  /** items on their way to one place */
  readonly mostOnTheirWay: number;
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

interface Lane<T, C> {
  readonly name: string;
  waiting: Waiting<T>[];
  again: Ready<C>[];
  onItsWay: readonly Ready<C>[];
  /** until that is answered */
  sending: Promise<void> | undefined;
  /** something of it has just not arrived */
  restsUntilMs: number;
}

/**
 * Collects what may reach the store a little later and sends it in few calls, in order for each lane and one batch of a lane at a time. A part of the store that does not answer holds
 * up its own lanes alone. A call that did not arrive is sent again as it was, before what came later: it must be idempotent, and in another call its items would not be. The oldest of all
 * lanes is dropped beyond `most`, and everything older than `keepMs`.
 */
export function makeSettlementQueue<T, C>(options: Options<T, C>): SettlementQueue<T, C> {
  const { laneOf, placeOf, pack, send, now, batchMs, keepMs, most, mostOnTheirWay, flushMs } = options;
  const lanes = new Map<string, Lane<T, C>>();
  /** items that wait or are to be sent again */
  let depth = 0;
  let timer: NodeJS.Timeout | undefined;
  let dueMs = 0;
  const retryMs = batchMs * 10;

  const isFresh = ({ addedMs }: { addedMs: number }): boolean => now() - addedMs < keepMs;
  const schedule = (ms: number): void => {
    if (timer !== undefined && dueMs <= now() + ms) return;
    clearTimeout(timer);
    dueMs = now() + ms;
    timer = setTimeout(sendDue, ms);
  };
  const laneNamed = (name: string): Lane<T, C> => {
    const lane = lanes.get(name) ?? { name, waiting: [], again: [], onItsWay: [], sending: undefined, restsUntilMs: 0 };
    lanes.set(name, lane);
    return lane;
  };
  const dropIfEmpty = (lane: Lane<T, C>): void => {
    if (lane.waiting.length === 0 && lane.again.length === 0 && lane.sending === undefined) lanes.delete(lane.name);
  };
  const dropOldest = (): void => {
    while (depth > most) {
      const [first, ...others] = lanes.values();
      if (first === undefined) return;
      const oldest = others.reduce((known, lane) => (keptSinceMs(lane) < keptSinceMs(known) ? lane : known), first);
      depth -= oldest.again.shift()?.items ?? oldest.waiting.splice(0, 1).length;
      dropIfEmpty(oldest);
    }
  };
  /** What did not arrive goes with the rest, since it was first. Gives how many items. */
  const takeCalls = (lane: Lane<T, C>, room: number): number => {
    const fresh = lane.waiting.filter(isFresh);
    const taken = fresh.slice(0, room);
    const packed = pack(taken.map(({ item }) => item));
    const calls = packed.map(({ call, positions }) => ({
      call,
      addedMs: taken[positions[0] ?? 0]?.addedMs ?? now(),
      items: positions.length,
    }));
    depth -= countItems(lane.again) + lane.waiting.length - (fresh.length - taken.length);
    lane.onItsWay = [...lane.again.filter(isFresh), ...calls];
    [lane.again, lane.waiting] = [[], fresh.slice(room)];
    return countItems(lane.onItsWay);
  };
  const deliver = async (together: readonly Lane<T, C>[]): Promise<void> => {
    const calls = together.flatMap(({ onItsWay }) => onItsWay.map(({ call }) => call));
    const failed = new Set(calls.length === 0 ? [] : await send(calls));
    for (const lane of together) {
      lane.again = lane.onItsWay.filter(({ call }) => failed.has(call));
      lane.onItsWay = [];
      lane.sending = undefined;
      lane.restsUntilMs = lane.again.length > 0 ? now() + retryMs : 0;
      depth += countItems(lane.again);
      dropIfEmpty(lane);
    }
    dropOldest();
    if (depth > 0) schedule(failed.size > 0 ? retryMs : batchMs);
  };
  const roomAt = (place: string): number => {
    const there = [...lanes.values()].filter(({ onItsWay, name }) => onItsWay.length > 0 && placeOf(name) === place);
    return mostOnTheirWay - there.reduce((sum, { onItsWay }) => sum + countItems(onItsWay), 0);
  };
  /** Lanes of one place of which nothing is on its way. What does not fit waits for the next time; undefined: nothing does. */
  const sendTogether = (place: string, idle: readonly Lane<T, C>[]): Promise<void> | undefined => {
    const together: Lane<T, C>[] = [];
    let room = roomAt(place);
    for (const lane of idle) {
      if (room <= 0) break;
      room -= takeCalls(lane, room);
      together.push(lane);
    }
    if (together.length === 0) return undefined;
    const sending = deliver(together);
    for (const lane of together) lane.sending = sending;
    return sending;
  };
  const sendLane = (lane: Lane<T, C>): Promise<void> | undefined => sendTogether(placeOf(lane.name), [lane]);
  const sendIdle = (isMeant: (lane: Lane<T, C>) => boolean): void => {
    const idle = [...lanes.values()].filter((lane) => lane.sending === undefined && isMeant(lane));
    for (const [place, together] of Map.groupBy(idle, ({ name }) => placeOf(name))) void sendTogether(place, together);
  };
  const sendDue = (): void => {
    timer = undefined;
    sendIdle(({ restsUntilMs }) => restsUntilMs <= now());
    const resting = [...lanes.values()].map(({ restsUntilMs }) => restsUntilMs).filter((untilMs) => untilMs > now());
    if (resting.length > 0) schedule(Math.min(...resting) - now());
  };
  /** What was handed over until then. */
  const bring = async (lane: Lane<T, C>, untilMs: number, isGivenUp: () => boolean): Promise<void> => {
    while (Math.min(keptSinceMs(lane), lane.onItsWay[0]?.addedMs ?? Infinity) <= untilMs && !isGivenUp()) {
      const sent = lane.sending ?? sendLane(lane);
      await sent;
      if (sent === undefined || lane.again.length > 0) await new Promise((resolve) => setTimeout(resolve, batchMs));
    }
  };
  return {
    add(item) {
      laneNamed(laneOf(item)).waiting.push({ item, addedMs: now() });
      depth += 1;
      dropOldest();
      schedule(batchMs);
    },
    hasten(name, { isWanted, isWantedCall }) {
      const lane = lanes.get(name);
      const waits = (): boolean => lane?.waiting.some(({ item }) => isWanted(item)) === true;
      if (lane === undefined || (!waits() && !lane.onItsWay.some(({ call }) => isWantedCall(call)))) return undefined;
      return (async () => {
        while (lane.sending !== undefined) await lane.sending;
        // a store that has just not taken something will be told in its time
        if (waits() && lane.again.length === 0) await sendLane(lane);
      })();
    },
    async flush(isMeant = () => true) {
      let isGivenUp = false;
      let giveUp: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        giveUp = setTimeout(() => {
          isGivenUp = true;
          resolve();
        }, flushMs);
      });
      const untilMs = now();
      sendIdle(({ name }) => isMeant(name));
      const meant = [...lanes.values()].filter(({ name }) => isMeant(name));
      await Promise.race([Promise.all(meant.map((lane) => bring(lane, untilMs, () => isGivenUp))), late]);
      clearTimeout(giveUp);
    },
    kick: () => sendIdle(() => true),
    get depth() {
      return depth;
    },
  };
}

/** Of what is not on its way. */
function keptSinceMs<T, C>({ again, waiting }: Lane<T, C>): number {
  return again[0]?.addedMs ?? waiting[0]?.addedMs ?? Infinity;
}

function countItems(calls: readonly { readonly items: number }[]): number {
  return calls.reduce((sum, { items }) => sum + items, 0);
}
