import { setImmediate as tick } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import type { FakeClock } from '../../test/support/fake-clock.ts';
import { makeFakeClock } from '../../test/support/fake-clock.ts';
import { ClusterError } from '../cluster/cluster.ts';
import type { MemoryClusterOptions } from '../cluster/memory.ts';
import { makeMemoryCluster } from '../cluster/memory.ts';
import type { LeaderElection } from './lease.ts';
import type { LeaseObject } from './lease-object.ts';
import { runLeaderElection } from './lease.ts';

const reference = { kind: 'Lease', namespace: 'system', name: 'keywright-operator' } as const;

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await tick();
}

/** second by second, so that every timer has its consequences before the next one fires */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1_000) {
    clock.advance(1_000);
    await settle();
  }
}

function makeWorld(fault?: MemoryClusterOptions['fault']) {
  const clock = makeFakeClock(1_700_000_000_000);
  const cluster = makeMemoryCluster({ now: () => clock.now(), ...(fault === undefined ? {} : { fault }) });
  const story: string[] = [];
  const elections: LeaderElection[] = [];
  onTestFinished(async () => {
    const ending = Promise.all(elections.map((election) => election.stop()));
    await pass(clock, 15_000);
    await ending;
  });

  function elect(
    identity: string,
    changes: { work?: (signal: AbortSignal) => Promise<void>; skewMs?: number; registry?: Registry; fault?: () => Error | undefined } = {},
  ) {
    const fail = async () => {
      const error = changes.fault?.();
      if (error !== undefined) throw error;
    };
    const election = runLeaderElection({
      cluster: {
        reflect: (options) => cluster.reflect(options),
        get: async (wanted) => (await fail(), cluster.get(wanted)),
        create: async (object) => (await fail(), cluster.create(object)),
        replace: async (object) => (await fail(), cluster.replace(object)),
      },
      namespace: reference.namespace,
      name: reference.name,
      identity,
      clock: { now: () => clock.now() + (changes.skewMs ?? 0), after: (ms, run) => clock.after(ms, run) },
      monotonicMs: () => clock.now(),
      random: () => 0.5,
      log: makeLog({ level: 'silent', name: 'test' }),
      metrics: { registry: changes.registry ?? new Registry() },
      onElected: (signal) => {
        story.push(`${identity} elected`);
        return changes.work?.(signal);
      },
      onLost: () => void story.push(`${identity} lost`),
    });
    elections.push(election);
    return election;
  }
  const holder = async () => (await cluster.get<LeaseObject>(reference))?.spec?.holderIdentity;
  return { clock, cluster, story, elect, holder };
}

describe('leader election', () => {
  it('elects one of several, and the same stays', async () => {
    const { clock, elect, story, holder } = makeWorld();
    const [first, second, third] = [elect('first'), elect('second'), elect('third')];
    await settle();
    await pass(clock, 300_000);
    expect(story).toHaveLength(1);
    expect([first, second, third].filter((election) => election.leads())).toHaveLength(1);
    expect(story[0]).toBe(`${await holder()} elected`);
  });

  it('hands over at once when it is given back, after its work has ended', async () => {
    const { elect, story, cluster, holder } = makeWorld();
    let endWork: (() => void) | undefined;
    const first = elect('first', { work: () => new Promise((resolve) => (endWork = resolve)) });
    await settle();
    const second = elect('second');
    await settle();
    const stopping = first.stop();
    await settle();
    expect(first.leads()).toBe(false);
    expect(await holder()).toBe('first');
    expect(second.leads()).toBe(false);
    endWork?.();
    await stopping;
    await settle();
    // No time has passed.
    expect(second.leads()).toBe(true);
    expect(story).toEqual(['first elected', 'first lost', 'second elected']);
    expect((await cluster.get<LeaseObject>(reference))?.spec).toMatchObject({ leaseTransitions: 1, leaseDurationSeconds: 60 });
  });

  it('keeps the lease when its work does not end, so that it runs out', async () => {
    const { clock, elect, holder } = makeWorld();
    const first = elect('first', { work: () => new Promise(() => undefined) });
    await settle();
    const stopping = first.stop();
    await settle();
    await pass(clock, 10_000);
    await stopping;
    expect(await holder()).toBe('first');
  });

  it('takes over 60 s after the last sign of a leader that has died, not before, whatever the clocks say', async () => {
    for (const skewMs of [0, -3_600_000, 3_600_000]) {
      const { clock, elect, story } = makeWorld();
      let dead = false;
      elect('first', { skewMs, fault: () => (dead ? new ClusterError('Unavailable', 'cut off') : undefined) });
      await settle();
      const second = elect('second');
      await pass(clock, 31_000);
      dead = true;
      // The last renewal was at 30 s; the standby looks every 15 s or when the lease runs out.
      await pass(clock, 58_000);
      expect(second.leads()).toBe(false);
      await pass(clock, 20_000);
      expect(second.leads()).toBe(true);
      expect(story).toEqual(['first elected', 'first lost', 'second elected']);
    }
  });

  it('stops at its renew deadline, well before anybody else may begin', async () => {
    const { clock, elect, story } = makeWorld();
    let dead = false;
    let aborted = 0;
    const first = elect('first', {
      fault: () => (dead ? new ClusterError('Unavailable', 'cut off') : undefined),
      work: (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(void (aborted = clock.now())))),
    });
    await settle();
    elect('second');
    await pass(clock, 15_000);
    const renewedMs = clock.now();
    dead = true;
    await pass(clock, 39_000);
    expect(first.leads()).toBe(true);
    await pass(clock, 1_000);
    expect(first.leads()).toBe(false);
    expect(aborted - renewedMs).toBeLessThanOrEqual(40_000);
    expect(story).toEqual(['first elected', 'first lost']);
    dead = false;
    await pass(clock, 10_000);
    expect(story.filter((line) => line.endsWith('elected')).length).toBe(2);
  });

  it('knows by itself that it leads no more when the process was stopped', async () => {
    const { clock, elect } = makeWorld();
    const first = elect('first');
    await settle();
    expect(first.leads()).toBe(true);
    let jumpMs = 0;
    const now = clock.now;
    clock.now = () => now() + jumpMs;
    jumpMs = 40_000;
    // No timer has fired and no promise has run.
    expect(first.leads()).toBe(false);
  });

  it('survives trouble that ends before its deadline', async () => {
    const { clock, elect, story } = makeWorld();
    let dead = false;
    const first = elect('first', { fault: () => (dead ? new ClusterError('Unavailable', 'cut off') : undefined) });
    await settle();
    elect('second');
    await pass(clock, 15_000);
    dead = true;
    await pass(clock, 35_000);
    dead = false;
    await pass(clock, 60_000);
    expect(first.leads()).toBe(true);
    expect(story).toEqual(['first elected']);
  });

  it('goes on when its own renewal was written but the answer lost', async () => {
    const { clock, elect, cluster, story } = makeWorld();
    const first = elect('first');
    await settle();
    const lease = await cluster.get<LeaseObject>(reference);
    if (lease === undefined) throw new Error('no lease');
    await cluster.replace({ ...lease, spec: { ...lease.spec, renewTime: 'as if by us' } });
    await pass(clock, 60_000);
    expect(first.leads()).toBe(true);
    expect(story).toEqual(['first elected']);
  });

  it('yields when somebody else has taken the lease', async () => {
    const { clock, elect, cluster, story } = makeWorld();
    const first = elect('first');
    await settle();
    const lease = await cluster.get<LeaseObject>(reference);
    if (lease === undefined) throw new Error('no lease');
    await cluster.replace({ ...lease, spec: { ...lease.spec, holderIdentity: 'stranger' } });
    await pass(clock, 16_000);
    expect(first.leads()).toBe(false);
    expect(story).toEqual(['first elected', 'first lost']);
  });

  it('gives leadership up when its work fails, others first', async () => {
    const registry = new Registry();
    const { clock, elect, story } = makeWorld();
    elect('first', { registry, work: () => Promise.reject(new Error('broken')) });
    await settle();
    expect(await registry.metrics()).toContain('keywright_leader 0');
    expect(story).toEqual(['first elected', 'first lost']);
    await pass(clock, 10_000);
    expect(story).toHaveLength(2);
    const second = elect('second', { registry });
    await settle();
    expect(second.leads()).toBe(true);
    expect(await registry.metrics()).toContain('keywright_leader 1');
  });

  it('begins again when the lease was deleted', async () => {
    const { clock, elect, cluster } = makeWorld();
    const first = elect('first');
    await settle();
    await cluster.delete(reference);
    await pass(clock, 20_000);
    expect(first.leads()).toBe(true);
  });
});
