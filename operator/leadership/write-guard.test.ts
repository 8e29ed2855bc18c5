import { randomBytes } from 'node:crypto';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import { makeMemoryCluster } from '../cluster/memory.ts';
import { type Operator, startOperator } from '../operator.ts';
import { readyOf, settleMs, testSettings, World } from '../test-world.ts';
import { toWriteGuarded } from './write-guard.ts';

const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a', namespace: 'team' }, type: 'Opaque', data: {} };
const reference = { kind: 'Secret', namespace: 'team', name: 'a' } as const;

describe('a guarded cluster', () => {
  it('refuses every write of a process that does not lead, and tells no Events', async () => {
    let leads = true;
    const memory = makeMemoryCluster({ now: () => 0 });
    const cluster = toWriteGuarded(memory, () => leads);
    const created = await cluster.create(secret);
    if (created.outcome !== 'written') throw new Error('not created');
    leads = false;
    const { object } = created;
    const writes = [
      () => cluster.create({ ...secret, metadata: { name: 'b', namespace: 'team' } }),
      () => cluster.replace({ ...object, data: { key: 'YQ==' } }),
      () => cluster.patchStatus(object, { phase: 'Active' }),
      () => cluster.remove(reference),
    ];
    for (const write of writes) await expect(write()).rejects.toMatchObject({ reason: 'Unavailable' });
    cluster.recordEvent({ regarding: object, type: 'Normal', reason: 'Test', message: 'x' });
    expect([memory.objects(), memory.events()]).toEqual([[object], []]);
    expect(await cluster.get(reference)).toEqual(object);
    leads = true;
    await cluster.remove(reference);
    expect(memory.objects()).toEqual([]);
  });
});

describe('an operator whose lease has passed to another one while it was stopped', () => {
  const world = new World();
  let operator: Operator | undefined;
  afterEach(async () => {
    const stopped = operator?.stop();
    await world.settle();
    await stopped;
  });

  it('writes nothing over its successor, whatever still runs, and goes on when it leads again', async () => {
    let leads = true;
    const log = makeLog({ level: 'silent', name: 'test' });
    const parts = {
      cluster: world.cluster,
      clock: world.clock,
      log,
      metrics: { registry: new Registry() },
      random: (bytes: number) => randomBytes(bytes),
    };
    operator = startOperator({ ...parts, settings: testSettings, settleMs, mayWrite: () => leads });
    void operator.lead();
    await world.applyKey('a');
    await world.advance(10_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
    leads = false;
    const before = world.writes.length;
    await world.applyKey('a', { revoked: true });
    await world.applyKey('b');
    await world.advance(60_000);
    expect(world.writes.slice(before)).toEqual([]);
    leads = true;
    await world.advance(120_000);
    expect(world.publishedKey('team/a')?.state).toBe('Revoked');
    expect(readyOf(await world.key('b'))).toEqual({ status: 'True', reason: 'Issued' });
  });
});
