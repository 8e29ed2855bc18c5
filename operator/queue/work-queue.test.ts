import fc from 'fast-check';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { makeFakeClock } from '../../test/support/fake-clock.ts';
import { ClusterError } from '../cluster/cluster.ts';
import { makeWorkQueue } from './work-queue.ts';

/** lets everything run that does not wait for time */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

function make(
  options: {
    concurrency?: number;
    urgentConcurrency?: number;
    keptForOthers?: number;
    work?: (key: string) => Promise<void> | void;
    random?: () => number;
    registry?: Registry;
    groupOf?: (key: string) => string;
  } = {},
) {
  const { concurrency = 1, urgentConcurrency = 0, keptForOthers = 0 } = options;
  const clock = makeFakeClock(0);
  const ran: { key: string; atMs: number }[] = [];
  const errors: string[] = [];
  const queue = makeWorkQueue({
    clock,
    random: options.random ?? (() => 0),
    concurrency,
    urgentConcurrency,
    keptForOthers,
    ...(options.groupOf === undefined ? {} : { groupOf: options.groupOf }),
    work: async (key) => {
      ran.push({ key, atMs: clock.now() });
      await options.work?.(key);
    },
    onError: (key) => void errors.push(key),
    ...(options.registry === undefined ? {} : { metrics: { registry: options.registry } }),
  });
  return { clock, queue, ran, errors, keys: () => ran.map(({ key }) => key), times: () => ran.map(({ atMs }) => atMs) };
}

/** work that ends when told */
function makeGate() {
  const waiting: (() => void)[] = [];
  return { work: () => new Promise<void>((resolve) => waiting.push(resolve)), open: () => waiting.shift()?.(), waiting };
}

describe('work queue', () => {
  it('takes keys in order, each once', async () => {
    const { queue, keys, ran } = make();
    for (const key of ['b', 'a', 'b', 'c', 'a']) queue.add(key);
    expect(ran).toEqual([]);
    await settle();
    expect(keys()).toEqual(['b', 'a', 'c']);
  });

  it('lets groups take turns, so that a crowd in one delays no other', async () => {
    const gate = makeGate();
    const { queue, keys } = make({ work: gate.work, groupOf: (key) => key.slice(0, 1) });
    for (const key of ['a1', 'a2', 'a3', 'b1']) queue.add(key);
    for (let turn = 0; turn < 4; turn += 1) {
      await settle();
      gate.open();
    }
    await settle();
    expect(keys()).toEqual(['a1', 'b1', 'a2', 'a3']);
  });

  it('takes what is urgent before everything that is not, also what waited already or runs', async () => {
    const gate = makeGate();
    const { queue, keys } = make({ work: gate.work });
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
    await settle();
    queue.add('d', { urgent: true });
    queue.add('a', { urgent: true });
    queue.add('d');
    expect(queue.depth).toBe(3);
    for (let turn = 0; turn < 6; turn += 1) {
      gate.open();
      await settle();
    }
    expect(keys()).toEqual(['a', 'd', 'a', 'b', 'c']);
  });

  it('has workers for what is urgent when all others are taken', async () => {
    const gate = makeGate();
    const { queue, keys } = make({ concurrency: 2, urgentConcurrency: 1, work: gate.work });
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await settle();
    queue.add('x', { urgent: true });
    queue.add('y', { urgent: true });
    await settle();
    expect(keys()).toEqual(['a', 'b', 'x']);
    gate.open();
    await settle();
    // what is urgent had no place beyond the two, but it is next
    expect(keys()).toEqual(['a', 'b', 'x', 'y']);
    gate.open();
    await settle();
    expect(keys()).toEqual(['a', 'b', 'x', 'y']);
    gate.open();
    await settle();
    expect(keys()).toEqual(['a', 'b', 'x', 'y', 'c']);
  });

  it('never gives all workers to one group', async () => {
    const gate = makeGate();
    const options = { concurrency: 4, urgentConcurrency: 1, keptForOthers: 2, groupOf: (key: string) => key.slice(0, 1) };
    const { queue, keys } = make({ ...options, work: gate.work });
    for (const key of ['a1', 'a2', 'a3', 'a4']) queue.add(key);
    await settle();
    expect(keys()).toEqual(['a1', 'a2']);
    queue.add('b1');
    queue.add('a5', { urgent: true });
    queue.add('a6', { urgent: true });
    await settle();
    expect(keys()).toEqual(['a1', 'a2', 'a5', 'b1']);
    gate.open();
    await settle();
    expect(keys()).toEqual(['a1', 'a2', 'a5', 'b1', 'a6']);
    for (let turn = 0; turn < 5; turn += 1) {
      gate.open();
      await settle();
    }
    expect(keys()).toEqual(['a1', 'a2', 'a5', 'b1', 'a6', 'a3', 'a4']);
  });

  it('never works twice at once on a key, and once more when it was added meanwhile', async () => {
    const gate = makeGate();
    const { queue, keys } = make({ concurrency: 4, work: gate.work });
    queue.add('a');
    await settle();
    queue.add('a');
    queue.add('a');
    await settle();
    expect(keys()).toEqual(['a']);
    gate.open();
    await settle();
    expect(keys()).toEqual(['a', 'a']);
    gate.open();
    await settle();
    expect(keys()).toEqual(['a', 'a']);
  });

  it('works on as many keys at once as allowed', async () => {
    const gate = makeGate();
    const { queue, keys } = make({ concurrency: 2, work: gate.work });
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await settle();
    expect(keys()).toEqual(['a', 'b']);
    expect(queue.depth).toBe(1);
    gate.open();
    await settle();
    expect(keys()).toEqual(['a', 'b', 'c']);
  });

  it('backs off from a failing key, 0.2 s to 60 s, and forgets it at the first success', async () => {
    let failing = true;
    const { queue, clock, times, errors } = make({
      work: () => {
        if (failing) throw new Error('no');
      },
    });
    queue.add('a');
    await settle();
    for (let run = 0; run < 12; run += 1) {
      clock.advance(60_000);
      await settle();
    }
    expect(errors.length).toBe(times().length);
    const { queue: second, clock: time, ran } = make({ random: () => 1, work: () => Promise.reject(new Error('no')) });
    second.add('a');
    await settle();
    while (ran.length < 12) {
      time.advance(100);
      await settle();
    }
    const waits = ran.slice(1).map(({ atMs }, index) => atMs - (ran[index]?.atMs ?? 0));
    expect(waits).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000]);

    failing = false;
    clock.advance(60_000);
    await settle();
    failing = true;
    const count = times().length;
    queue.add('a');
    await settle();
    clock.advance(200);
    await settle();
    expect(times().length).toBe(count + 2);
  });

  it('spreads retries by the random number, never below 0.2 s', async () => {
    const { queue, clock, ran } = make({ random: () => 0, work: () => Promise.reject(new Error('no')) });
    queue.add('a');
    await settle();
    while (ran.length < 5) {
      clock.advance(100);
      await settle();
    }
    expect(ran.slice(1).map(({ atMs }, index) => atMs - (ran[index]?.atMs ?? 0))).toEqual([200, 200, 400, 800]);
  });

  it('waits as long as a throttling server asks', async () => {
    const { queue, clock, times } = make({ work: () => Promise.reject(new ClusterError('Throttled', 'later', 5_000)) });
    queue.add('a');
    await settle();
    clock.advance(4_999);
    await settle();
    expect(times()).toEqual([0]);
    clock.advance(1);
    await settle();
    expect(times()).toEqual([0, 5_000]);
  });

  it('keeps the earliest of several times', async () => {
    const { queue, clock, times } = make();
    queue.addAfter('a', 5_000);
    queue.addAfter('a', 1_000);
    queue.addAfter('a', 9_000);
    clock.advance(20_000);
    await settle();
    expect(times()).toHaveLength(1);
    expect(clock.pending).toBe(0);
    const other = make();
    other.queue.addAfter('a', 5_000);
    other.queue.addAfter('a', 1_000);
    other.clock.advance(999);
    await settle();
    expect(other.ran).toEqual([]);
    other.clock.advance(1);
    await settle();
    expect(other.keys()).toEqual(['a']);
  });

  it('keeps a time of the future when the key is added now', async () => {
    const { queue, clock, times } = make();
    queue.addAfter('a', 5_000);
    queue.add('a');
    queue.addAfter('b', 0);
    queue.addAfter('c', Number.NaN);
    await settle();
    expect(times()).toEqual([0, 0, 0]);
    clock.advance(5_000);
    await settle();
    expect(times()).toEqual([0, 0, 0, 5_000]);
  });

  it('stops when the running work has ended, and takes nothing more', async () => {
    const gate = makeGate();
    const { queue, clock, keys } = make({ work: gate.work });
    queue.add('a');
    queue.add('b');
    queue.addAfter('c', 1_000);
    await settle();
    let stopped = false;
    const stopping = queue.stop().then(() => (stopped = true));
    queue.add('d');
    queue.add('a');
    await settle();
    expect(stopped).toBe(false);
    gate.open();
    await stopping;
    clock.advance(60_000);
    await settle();
    expect(keys()).toEqual(['a']);
    expect(clock.pending).toBe(0);
    await queue.stop();
  });

  it('survives a reporter that throws', async () => {
    const clock = makeFakeClock(0);
    let runs = 0;
    const queue = makeWorkQueue({
      clock,
      random: () => 0,
      concurrency: 1,
      work: async () => {
        runs += 1;
        throw new Error('no');
      },
      onError: () => {
        throw new Error('no either');
      },
    });
    queue.add('a');
    await settle();
    clock.advance(200);
    await settle();
    expect(runs).toBe(2);
  });

  it('counts', async () => {
    const registry = new Registry();
    const gate = makeGate();
    const { queue } = make({ registry, work: gate.work });
    queue.add('a');
    queue.add('b');
    await settle();
    expect(await registry.metrics()).toContain('keywright_workqueue_depth{name="work"} 1');
    gate.open();
    await settle();
    gate.open();
    await settle();
    const text = await registry.metrics();
    expect(text).toContain('keywright_workqueue_depth{name="work"} 0');
    expect(text).toContain('keywright_workqueue_adds_total{name="work"} 2');
    expect(text).toContain('keywright_workqueue_work_duration_seconds_count{name="work"} 2');
  });

  it('works on every key after it was last added, whatever happens in between', async () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      act: fc.constantFrom('add', 'later', 'time', 'fail', 'end'),
      ms: fc.integer({ min: 0, max: 500 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), async (steps, concurrency) => {
        const running = new Map<string, (error?: Error) => void>();
        const wanted = new Set<string>();
        const { queue, clock } = make({
          concurrency,
          work: (key) => {
            if (running.has(key)) throw new Error(`${key} runs twice`);
            if (running.size >= concurrency) throw new Error('too many at once');
            wanted.delete(key);
            return new Promise((resolve, reject) => running.set(key, (error) => (error === undefined ? resolve() : reject(error))));
          },
        });
        const end = (key: string, error?: Error) => {
          const finish = running.get(key);
          running.delete(key);
          if (error !== undefined && finish !== undefined) wanted.add(key);
          finish?.(error);
        };
        const acts: Record<(typeof steps)[number]['act'], (key: string, ms: number) => void> = {
          add: (key) => queue.add(key),
          later: (key, ms) => queue.addAfter(key, ms),
          time: (_key, ms) => clock.advance(ms),
          fail: (key) => end(key, new Error('no')),
          end: (key) => end(key),
        };
        for (const { key, act, ms } of steps) {
          if (act === 'add' || act === 'later') wanted.add(key);
          acts[act](key, ms);
          await settle();
        }
        for (let round = 0; round < 20; round += 1) {
          for (const key of running.keys()) end(key);
          await settle();
          clock.advance(60_000);
          await settle();
        }
        expect([...wanted]).toEqual([]);
        expect(running.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
