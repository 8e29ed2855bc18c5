import { describe, expect, it } from 'vitest';
import type { Channel } from '../core/resources.ts';
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
