import { describe, expect, it } from 'vitest';
import { makeSettlementQueue } from './settlement-queue.ts';

function make(overrides: { send?: (batch: readonly number[]) => Promise<readonly number[]>; most?: number } = {}) {
  const batches: number[][] = [];
  let nowMs = 0;
  const send = async (batch: readonly number[]): Promise<readonly number[]> => {
    batches.push([...batch]);
    return overrides.send ? overrides.send(batch) : [];
  };
  const queue = makeSettlementQueue<number, number>({
    pack: (items) => items.map((item, position) => ({ call: item, positions: [position] })),
    send,
    now: () => nowMs,
    batchMs: 5,
    keepMs: 1_000,
    most: overrides.most ?? 100,
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
      pack: (items) => (items.length === 0 ? [] : [{ call: items, positions: [...items.keys()] }]),
      send: async (calls) => {
        sent.push(...calls);
        return down ? calls : [];
      },
      now: () => 0,
      batchMs: 5,
      keepMs: 1_000,
      most: 100,
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
    /** Tens are one part; of each, odd ones are wanted. */
    const part = (tens: number) => {
      const isOf = (item: number): boolean => Math.floor(item / 10) === tens;
      const isWanted = (item: number): boolean => isOf(item) && item % 2 === 1;
      return { isWanted, isWantedCall: isWanted, goesAlong: isOf };
    };

    it('is sent at once with what was before it, and nothing else', async () => {
      const { queue, batches } = make();
      for (const item of [12, 21, 13, 14]) queue.add(item);
      await queue.hasten(part(1));
      expect(batches).toEqual([[12, 13, 14]]);
      expect(queue.depth).toBe(1);
      expect(queue.hasten(part(1))).toBeUndefined();
      await queue.flush();
      expect(batches).toEqual([[12, 13, 14], [21]]);
    });

    it('is nothing where nothing wanted waits', async () => {
      const { queue, batches } = make();
      queue.add(12);
      expect(queue.hasten(part(1))).toBeUndefined();
      expect(queue.hasten(part(2))).toBeUndefined();
      await queue.flush();
      expect(batches).toEqual([[12]]);
    });

    it('is waited for where it is on its way, one batch at a time', async () => {
      const arrived: (() => void)[] = [];
      const { queue, batches } = make({ send: () => new Promise((resolve) => arrived.push(() => resolve([]))) });
      queue.add(11);
      const first = queue.hasten(part(1));
      queue.add(12);
      queue.add(21);
      let isDone = false;
      const second = queue.hasten(part(1))?.then(() => (isDone = true));
      const other = queue.hasten(part(2));
      expect(second).toBeDefined();
      await Promise.resolve();
      expect([batches, isDone]).toEqual([[[11]], false]);
      arrived.shift()?.();
      await first;
      await second;
      await Promise.resolve();
      // what is not wanted of the first part waits on
      expect(batches).toEqual([[11], [21]]);
      arrived.shift()?.();
      await other;
      expect(queue.depth).toBe(1);
      void queue.flush();
      arrived.shift()?.();
    });

    it('does not go before what did not arrive', async () => {
      let down = true;
      const { queue, batches } = make({ send: async (batch) => (down ? batch : []) });
      queue.add(11);
      await queue.hasten(part(1));
      queue.add(13);
      await queue.hasten(part(1));
      expect(batches).toEqual([[11]]);
      down = false;
      await queue.flush();
      expect(batches).toEqual([[11], [11, 13]]);
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
