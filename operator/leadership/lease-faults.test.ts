import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import { makeFakeClock } from '../../test/support/fake-clock.ts';
import { ClusterError } from '../cluster/cluster.ts';
import { makeMemoryCluster } from '../cluster/memory.ts';
import type { LeaderElection } from './lease.ts';
import { runLeaderElection } from './lease.ts';

const reference = { kind: 'Lease', namespace: 'system', name: 'keywright-operator' } as const;
/** as the client has it */
const callTimeoutMs = 15_000;

/** How one call of one process goes: late there, late back, or not at all. */
interface Trip {
  readonly thereMs: number;
  readonly backMs: number;
  readonly lost: boolean;
}

const smooth: Trip = { thereMs: 0, backMs: 0, lost: false };

/** Processes that elect a leader over a network with a mind of its own. */
function makeWorld() {
  const clock = makeFakeClock();
  const cluster = makeMemoryCluster({ now: () => clock.now() });
  const running: { election: LeaderElection; stoppedAtMs: number | undefined }[] = [];
  const wait = (ms: number) => (ms === 0 ? Promise.resolve() : new Promise<void>((resolve) => void clock.after(ms, resolve)));

  async function travel<T>({ thereMs, backMs, lost }: Trip, work: () => Promise<T>): Promise<T> {
    const late = wait(callTimeoutMs).then(() => {
      throw new ClusterError('Unavailable', 'no answer in time');
    });
    late.catch(() => undefined);
    const trip = wait(thereMs).then(async () => {
      if (lost) throw new ClusterError('Unavailable', 'cut off');
      // What arrives is done, whether or not its sender still waits for the answer.
      const result = await work();
      await wait(backMs);
      return result;
    });
    trip.catch(() => undefined);
    return Promise.race([trip, late]);
  }

  function elect(identity: string, trip: () => Trip): LeaderElection {
    const election = runLeaderElection({
      cluster: {
        reflect: (options) => cluster.reflect(options),
        get: (wanted) => travel(trip(), () => cluster.get(wanted)),
        create: (object) => travel(trip(), () => cluster.create(object)),
        replace: (object) => travel(trip(), () => cluster.replace(object)),
      },
      namespace: reference.namespace,
      name: reference.name,
      identity,
      clock,
      monotonicMs: () => clock.now(),
      random: () => 0.5,
      log: makeLog({ level: 'silent', name: 'test' }),
      metrics: { registry: new Registry() },
      onElected: (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
      onLost: () => undefined,
    });
    running.push({ election, stoppedAtMs: undefined });
    return election;
  }

  async function pass(ms: number, each: () => void = () => undefined): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1_000) {
      clock.advance(1_000);
      for (let turn = 0; turn < 6; turn += 1) await tick();
      each();
    }
  }

  async function end(): Promise<void> {
    const ending = Promise.all(running.map(({ election }) => election.stop()));
    await pass(60_000);
    await ending;
  }
  return { clock, elect, pass, end };
}

describe('leader election over a slow network', () => {
  it('a renewal that is answered after the deadline prolongs nothing', async () => {
    const { elect, pass, end } = makeWorld();
    let trip = smooth;
    const first = elect('first', () => trip);
    await pass(1_000);
    expect(first.leads()).toBe(true);
    // Each renewal arrives, and no answer comes in time: by the API server the lease is fresh, by our own deadline we lead no more.
    trip = { thereMs: 0, backMs: 60_000, lost: false };
    await pass(38_000);
    expect(first.leads()).toBe(true);
    await pass(2_000);
    expect(first.leads()).toBe(false);
    trip = smooth;
    await pass(30_000);
    expect(first.leads()).toBe(true);
    await end();
  });

  it('a leader whose renewals are slow, but arrive and are answered in time, stays', async () => {
    const { elect, pass, end } = makeWorld();
    const slow = { thereMs: 5_000, backMs: 5_000, lost: false };
    const first = elect('first', () => slow);
    await pass(25_000);
    expect(first.leads()).toBe(true);
    let always = true;
    elect('second', () => smooth);
    await pass(600_000, () => (always &&= first.leads()));
    expect(always).toBe(true);
    await end();
  });

  it('there are never two leaders, however calls are delayed, lost, or done after their sender has given up', async () => {
    const trip = fc.record({
      thereMs: fc.constantFrom(0, 0, 200, 5_000, 14_000, 20_000, 45_000),
      backMs: fc.constantFrom(0, 0, 200, 5_000, 14_000, 20_000, 45_000),
      lost: fc.constantFrom(false, false, false, true),
    });
    let elections = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(trip, { minLength: 30, maxLength: 60 }), async (trips) => {
        const { elect, pass, end } = makeWorld();
        let next = 0;
        // Trouble, and then a time of rest, in turns; otherwise hardly anybody would ever lead.
        const take = (): Trip => (next++ % 20 < 10 ? (trips[next % trips.length] ?? smooth) : smooth);
        const three = ['first', 'second', 'third'].map((identity) => elect(identity, take));
        let before = -1;
        await pass(400_000, () => {
          const leading = three.flatMap((election, index) => (election.leads() ? [index] : []));
          expect(leading.length).toBeLessThanOrEqual(1);
          if (leading[0] !== undefined && leading[0] !== before) elections += 1;
          before = leading[0] ?? before;
        });
        await end();
      }),
      { numRuns: 40 },
    );
    // It would be easy to keep the promise by never leading.
    expect(elections).toBeGreaterThan(40);
  });
});
