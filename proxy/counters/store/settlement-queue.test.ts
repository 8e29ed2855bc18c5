import { describe, expect, it } from 'vitest';
import { untilHolds } from '../../../test/support/eventually.ts';
import { makeSettlementQueue } from './settlement-queue.ts';

interface Overrides {
  readonly send?: (batch: readonly number[]) => Promise<readonly number[]>;
  readonly most?: number;
  readonly mostOnTheirWay?: number;
}

/** Tens are a lane, hundreds a place. */
function make(overrides: Overrides = {}) {
  const batches: number[][] = [];
  let nowMs = 0;
  const send = async (batch: readonly number[]): Promise<readonly number[]> => {
    batches.push([...batch]);
    return overrides.send ? overrides.send(batch) : [];
  };
  const queue = makeSettlementQueue<number, number>({
    laneOf: (item) => String(Math.floor(item / 10)),
    placeOf: (lane) => String(Math.floor(Number(lane) / 10)),
    pack: (items) => items.map((item, position) => ({ call: item, positions: [position] })),
    send,
    now: () => nowMs,
    batchMs: 5,
    keepMs: 1_000,
    most: overrides.most ?? 100,
    mostOnTheirWay: overrides.mostOnTheirWay ?? 100,
    flushMs: 100,
  });
  return { queue, batches, pass: (ms: number) => (nowMs += ms) };
}

describe('the settlement queue', () => {
  it('sends what came together in one batch, in order', async () => {
    const { queue, batches } = make();
    for (const item of [1, 2, 3]) queue.add(item);
    expect(batches).toEqual([]);
    await queue.flush();
    expect(batches).toEqual([[1, 2, 3]]);
  });

  it('sends what did not arrive again, before what came later', async () => {
    let down = true;
    const { queue, batches } = make({ send: async (batch) => (down ? batch : []) });
    queue.add(1);
    queue.add(2);
    await queue.flush();
    down = false;
    queue.add(3);
    await queue.flush();
    expect(batches.at(-1)).toEqual([1, 2, 3]);
    expect(queue.depth).toBe(0);
  });

  it('sends a call that did not arrive again as it was, whatever has come since', async () => {
    const sent: (readonly number[])[] = [];
    let down = true;
    const queue = makeSettlementQueue<number, readonly number[]>({
      laneOf: () => '',
      placeOf: () => '',
      pack: (items) => (items.length === 0 ? [] : [{ call: items, positions: [...items.keys()] }]),
      send: async (calls) => {
        sent.push(...calls);
        return down ? calls : [];
      },
      now: () => 0,
      batchMs: 5,
      keepMs: 1_000,
      most: 100,
      mostOnTheirWay: 100,
      flushMs: 20,
    });
    queue.add(1);
    queue.add(2);
    await queue.flush();
    expect(queue.depth).toBe(2);
    down = false;
    queue.add(3);
    await queue.flush();
    expect(sent.slice(-2)).toEqual([[1, 2], [3]]);
    expect(queue.depth).toBe(0);
  });

  it('flush gives up on a store that does not answer', async () => {
    const { queue } = make({ send: () => new Promise(() => {}) });
    queue.add(1);
    await queue.flush();
    expect(queue.depth).toBe(0);
  });

  describe('what must not wait', () => {
    const odd = { isWanted: (item: number) => item % 2 === 1, isWantedCall: (item: number) => item % 2 === 1 };

    it('is sent at once with its lane, and nothing else', async () => {
      const { queue, batches } = make();
      for (const item of [12, 21, 13, 14]) queue.add(item);
      await queue.hasten('1', odd);
      expect(batches).toEqual([[12, 13, 14]]);
      expect(queue.depth).toBe(1);
      expect(queue.hasten('1', odd)).toBeUndefined();
      await queue.flush();
      expect(batches).toEqual([[12, 13, 14], [21]]);
    });

    it('is nothing where nothing wanted waits', async () => {
      const { queue, batches } = make();
      queue.add(12);
      expect(queue.hasten('1', odd)).toBeUndefined();
      expect(queue.hasten('2', odd)).toBeUndefined();
      await queue.flush();
      expect(batches).toEqual([[12]]);
    });

    it('is waited for where it is on its way, one batch of a lane at a time', async () => {
      const arrived: (() => void)[] = [];
      const { queue, batches } = make({ send: () => new Promise((resolve) => arrived.push(() => resolve([]))) });
      queue.add(11);
      const first = queue.hasten('1', odd);
      queue.add(12);
      let isDone = false;
      const second = queue.hasten('1', odd)?.then(() => (isDone = true));
      queue.add(13);
      const third = queue.hasten('1', odd);
      expect(second).toBeDefined();
      await Promise.resolve();
      expect([batches, isDone]).toEqual([[[11]], false]);
      arrived.shift()?.();
      await first;
      await untilHolds(() => expect(batches).toEqual([[11], [12, 13]]));
      arrived.shift()?.();
      await Promise.all([second, third]);
      expect(queue.depth).toBe(0);
    });

    it('does not go before what did not arrive', async () => {
      let down = true;
      const { queue, batches } = make({ send: async (batch) => (down ? batch : []) });
      queue.add(11);
      await queue.hasten('1', odd);
      queue.add(13);
      await queue.hasten('1', odd);
      expect(batches).toEqual([[11]]);
      down = false;
      await queue.flush();
      expect(batches).toEqual([[11], [11, 13]]);
    });
  });

  describe('a place that does not answer', () => {
    const isHung = (batch: readonly number[]): boolean => batch.some((item) => item < 100);
    const hung = { send: (batch: readonly number[]) => (isHung(batch) ? new Promise<never>(() => {}) : Promise.resolve([])) };

    it('holds up its own lanes alone', async () => {
      const { queue, batches } = make(hung);
      for (const item of [11, 111, 121]) queue.add(item);
      await untilHolds(() => expect(batches).toEqual([[11], [111, 121]]));
      for (const item of [12, 112]) queue.add(item);
      await untilHolds(() => expect(batches.slice(2)).toEqual([[112]]));
      queue.add(113);
      await queue.hasten('11', { isWanted: () => true, isWantedCall: () => true });
      expect(batches.at(-1)).toEqual([113]);
      expect(queue.depth).toBe(1);
    });

    it('is not waited for by who asks for others', async () => {
      const { queue, batches } = make({ ...hung });
      for (const item of [11, 111]) queue.add(item);
      let isGivenUp = false;
      const all = queue.flush().then(() => (isGivenUp = true));
      await queue.flush((lane) => lane === '11');
      expect([batches, isGivenUp]).toEqual([[[11], [111]], false]);
      await all;
    });

    it('costs the others nothing where it refuses at once, and is told in order when it is back', async () => {
      let down = true;
      const { queue, batches, pass } = make({ send: async (batch) => (down && isHung(batch) ? batch : []) });
      queue.add(11);
      await untilHolds(() => expect(batches).toEqual([[11]]));
      // ten times as long as others wait
      pass(49);
      for (const item of [12, 111]) queue.add(item);
      await untilHolds(() => expect(batches).toEqual([[11], [111]]));
      down = false;
      queue.kick();
      await untilHolds(() => expect(batches).toEqual([[11], [111], [11, 12]]));
    });

    it('has a bounded number of items on their way, and of all that wait the oldest are dropped', async () => {
      const { queue, batches, pass } = make({ ...hung, most: 4, mostOnTheirWay: 2 });
      for (const item of [11, 12, 13]) queue.add(item);
      await untilHolds(() => expect(batches).toEqual([[11, 12]]));
      queue.add(21);
      expect(queue.depth).toBe(2);
      pass(1);
      for (const item of [111, 112, 113]) queue.add(item);
      expect(queue.depth).toBe(4);
      await untilHolds(() => expect(batches.slice(1).flat()).toEqual([111, 112, 113]));
      // 21 has no room, though nothing of its own lane is on its way
      expect(queue.depth).toBe(1);
    });
  });

  it('drops the oldest beyond its bound, and what is too old to matter', async () => {
    let down = true;
    const { queue, batches, pass } = make({ most: 3, send: async (batch) => (down ? batch : []) });
    for (const item of [1, 2, 3, 4]) queue.add(item);
    expect(queue.depth).toBe(3);
    await queue.flush();
    pass(1_000);
    down = false;
    queue.add(5);
    await queue.flush();
    expect(batches.at(-1)).toEqual([5]);
  });
});
