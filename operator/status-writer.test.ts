import { describe, expect, it } from 'vitest';
import type { Channel, VirtualKeySpec } from '../core/resources.ts';
import { sha256Hex } from '../runtime/digest.ts';
import type { Cluster, ClusterObject, ReflectOptions } from './cluster/cluster.ts';
import { ClusterError } from './cluster/cluster.ts';
import { toWriteGuarded } from './leadership/write-guard.ts';
import { World } from './test-world.ts';

const spec: Channel['spec'] = { provider: 'OpenAI' };

const mostWrites = 2_000;

/** Sees every Channel admit only its own namespace. */
function toNarrow(cluster: Cluster): Cluster {
  return {
    ...toWriteGuarded(cluster, () => true),
    reflect: <T extends ClusterObject>(options: ReflectOptions<T>) =>
      cluster.reflect<T>({
        ...options,
        onEvent: (event) =>
          options.onEvent(
            event.type === 'Applied' && event.object.kind === 'Channel'
              ? { ...event, object: { ...event.object, spec: { ...spec, allowedNamespaces: { from: 'Same' } } } }
              : event,
          ),
      }),
  };
}

describe('two leaders that see different things', () => {
  it('write statuses and shards over each other’s a few times in a minute, not without end', async () => {
    const world = new World();
    // Writes without end would not let this world's time pass.
    world.onWrite = () => (world.writes.length > mostWrites ? new ClusterError('Throttled', 'too many requests') : undefined);
    await world.applyChannel('llm', { ...spec, allowedNamespaces: { from: 'All' } });
    await world.applyKey('a', { access: { channels: ['platform/llm'] } });
    const leaders = [world.startReplica(), world.startReplica(toNarrow(world.cluster))];
    for (const leader of leaders) void leader.lead();
    await world.advance(60_000);
    for (const kind of ['VirtualKey', 'Channel']) {
      const statuses = world.writes.filter((write) => write.verb === 'patchStatus' && write.kind === kind);
      expect(statuses.length).toBeLessThan(25);
      // Both still want their own, or this would show nothing.
      expect(statuses.length).toBeGreaterThan(6);
    }
    const shards = world.writes.filter(({ verb, name }) => verb === 'replace' && /-(keys|channels)-/.test(name));
    expect(shards.length).toBeLessThan(40);
    await Promise.all([...leaders.map((leader) => leader.stop()), world.settle()]);
  });
});

describe('statuses of an object that is edited again and again', () => {
  const edits = 60;

  /** Edits it once a second and gives how many statuses that took. */
  async function countStatuses(extra: VirtualKeySpec): Promise<number> {
    const world = new World();
    await world.start();
    for (let edit = 0; edit < edits; edit += 1) {
      const hash = `sha256:${sha256Hex('a')}`;
      await world.applyKey('a', { ...extra, credential: { hashes: [{ hash }] }, description: String(edit) });
      await world.advance(1_000);
    }
    const count = (): number => world.writes.filter(({ verb }) => verb === 'patchStatus').length;
    const during = count();
    await world.advance(20_000);
    expect((await world.key('a'))?.status?.observedGeneration).toBe(edits);
    const after = count();
    expect(after).toBeLessThan(during + 3);
    await world.stop();
    return during;
  }

  it('are one for each edit of a small object', async () => {
    expect(await countStatuses({})).toBeGreaterThanOrEqual(edits);
  });

  it('are the fewer, the larger it is, and at last there is the right one', async () => {
    const data = Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`entry-${index}`, 'x'.repeat(1_000)]));
    // 16 KiB: a burst of four, and then one in four seconds
    const statuses = await countStatuses({ delivery: { template: { data } } });
    expect(statuses).toBeGreaterThan(edits / 5);
    expect(statuses).toBeLessThan(edits / 3);
  });
});
