import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClusterError } from '../operator/cluster/cluster.ts';
import { World } from '../operator/test-world.ts';
import { parseSnapshotDocument } from '../core/snapshot-parse.ts';
import { makeRevocations, type Revocations } from '../proxy/keys/revocations.ts';
import { SnapshotIndex } from '../proxy/snapshot/snapshot-index.ts';
import type { SnapshotSource } from '../proxy/snapshot/snapshot-source.ts';
import { sha256Hex } from '../runtime/digest.ts';
import { makeLog } from '../runtime/log.ts';
import { makeMetrics } from '../runtime/metrics.ts';
import { makeInProcessSource } from './in-process-source.ts';

interface FollowingProxy {
  readonly index: SnapshotIndex;
  readonly revocations: Revocations;
  readonly source: SnapshotSource;
}

let world: World;
let proxies: FollowingProxy[];

beforeEach(() => {
  world = new World();
  proxies = [];
});
afterEach(async () => {
  for (const { source } of proxies) await source.stop();
  await world.stop();
});

/** A proxy without Redis: what it knows it has from the snapshot. */
async function startProxy(): Promise<FollowingProxy> {
  const metrics = makeMetrics();
  metrics.close();
  const index = new SnapshotIndex({ log: makeLog({ level: 'silent', name: 'test' }), metrics, clock: world.clock });
  const revocations = makeRevocations({ now: () => world.nowMs, recordOf: (keyId) => index.recordOf(keyId), metrics });
  index.revocations.listen((revocation) => revocations.take(revocation));
  const source = makeInProcessSource(world.cluster, 'snapshot');
  source.start(index);
  const proxy = { index, revocations, source };
  proxies.push(proxy);
  await pass(0);
  return proxy;
}

async function pass(ms: number): Promise<void> {
  await world.advance(ms);
  for (const { index } of proxies) await index.settled();
  await world.settle();
}

/** What a client of this key meets. */
function meets({ index, revocations }: FollowingProxy, key: string): string {
  const found = index.find(sha256Hex(key));
  if (found === undefined) return 'unknown';
  return revocations.overruling(found.key.record, found.credential.id) ?? found.key.record.state;
}

const hashes = (...keys: string[]) => ({ credential: { hashes: keys.map((key) => ({ hash: `sha256:${sha256Hex(key)}` })) } });
const isShard = (name: string): boolean => name.includes('-keys-');
const standing = () => {
  const secret = world.cluster.objects().find(({ metadata }) => metadata.name === 'keywright-snapshot-revocations');
  const data = (secret as { data?: Record<string, string> } | undefined)?.data?.['document'];
  if (data === undefined) return undefined;
  const parsed = parseSnapshotDocument(gunzipSync(Buffer.from(data, 'base64')).toString());
  return parsed.ok && parsed.document.kind === 'revocations'
    ? parsed.document.entries.map(({ keyId, state, ended }) => `${keyId} ${state} ${ended.length}`)
    : parsed;
};

describe('while shards cannot be written', () => {
  const refuses = [
    ['refused by a webhook', new ClusterError('Forbidden', 'denied')],
    ['invalid', new ClusterError('Invalid', 'too long')],
    ['in trouble', new ClusterError('Unavailable', '500')],
  ] as const;

  it.each(refuses)('(%s) what ends reaches every proxy beside them, and leaves when the shard has it', async (_, error) => {
    await world.start();
    for (const name of ['revoked', 'suspended', 'deleted', 'other']) await world.applyKey(name, hashes(name));
    await world.applyKey('shortened', hashes('shortened', 'ended'));
    const running = await startProxy();
    await pass(5_000);
    expect(standing()).toBeUndefined();
    world.onWrite = ({ name }) => (isShard(name) ? error : undefined);
    await world.applyKey('revoked', { ...hashes('revoked'), revoked: true });
    await world.applyKey('suspended', { ...hashes('suspended'), suspended: true });
    await world.applyKey('shortened', hashes('shortened'));
    await world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'deleted' });
    await pass(1_000);
    const late = await startProxy();
    for (const proxy of [running, late]) {
      expect(['revoked', 'suspended', 'deleted', 'other', 'shortened', 'ended'].map((key) => meets(proxy, key))).toEqual([
        'Revoked',
        'Suspended',
        'CredentialEnded',
        'Active',
        'Active',
        'CredentialEnded',
      ]);
    }
    expect(standing()).toHaveLength(4);
    await pass(5_000);
    expect((await world.key('revoked'))?.status?.conditions?.find(({ type }) => type === 'Published')).toMatchObject({
      status: 'False',
      reason: 'SnapshotBlocked',
    });
    world.onWrite = () => undefined;
    await pass(120_000);
    expect(standing()).toEqual([]);
    expect([meets(running, 'revoked'), meets(running, 'suspended'), meets(running, 'deleted')]).toEqual([
      'Revoked',
      'Suspended',
      'unknown',
    ]);
    expect((await world.key('revoked'))?.status?.conditions?.find(({ type }) => type === 'Published')?.status).toBe('True');
    const writes = (): number => world.writes.filter(({ namespace }) => namespace === 'snapshot').length;
    const atRest = writes();
    await pass(600_000);
    expect(writes()).toBe(atRest);
  });

  it('a key that is resumed meanwhile is resumed', async () => {
    await world.start();
    await world.applyKey('a', hashes('a'));
    const proxy = await startProxy();
    await pass(5_000);
    world.onWrite = ({ name }) => (isShard(name) ? new ClusterError('Unavailable', '500') : undefined);
    await world.applyKey('a', { ...hashes('a'), suspended: true });
    await pass(2_000);
    expect(meets(proxy, 'a')).toBe('Suspended');
    await world.applyKey('a', hashes('a'));
    await pass(90_000);
    expect(meets(proxy, 'a')).toBe('Active');
    world.onWrite = () => undefined;
    await pass(120_000);
    expect([meets(proxy, 'a'), standing()]).toEqual(['Active', []]);
  });

  it('a successor keeps what its predecessor has said, before it has looked at anything', async () => {
    await world.start();
    await world.applyKey('a', hashes('a'));
    await pass(5_000);
    world.onWrite = ({ name }) => (isShard(name) ? new ClusterError('Unavailable', '500') : undefined);
    await world.applyKey('a', { ...hashes('a'), revoked: true });
    await pass(2_000);
    await world.stop();
    await world.start();
    await pass(5_000);
    expect(standing()).toEqual(['team/a Revoked 0']);
    const proxy = await startProxy();
    expect(meets(proxy, 'a')).toBe('Revoked');
  });
});

describe('while nothing of the snapshot can be written', () => {
  it.each([
    ['forbidden', new ClusterError('Forbidden', 'denied')],
    ['no quota', new ClusterError('Forbidden', 'exceeded quota')],
  ])('(%s) keys say so, and it goes on by itself', async (_, error) => {
    world.onWrite = ({ namespace }) => (namespace === 'snapshot' ? error : undefined);
    await world.start();
    await world.applyKey('a', hashes('a'));
    await pass(20_000);
    const conditions = (await world.key('a'))?.status?.conditions ?? [];
    expect(conditions.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'False', reason: 'SnapshotBlocked' });
    expect(conditions.find(({ type }) => type === 'Reconciling')?.message).toContain('Forbidden');
    world.onWrite = () => undefined;
    await pass(120_000);
    expect((await world.key('a'))?.status?.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'True',
      reason: 'Issued',
    });
    expect(meets(await startProxy(), 'a')).toBe('Active');
  });
});
