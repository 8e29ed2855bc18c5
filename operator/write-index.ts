import { snapshotIndexName } from '../core/snapshot.ts';
import type { Cluster, SecretObject } from './cluster/cluster.ts';
import { ClusterError } from './cluster/cluster.ts';
import type { SnapshotLayout } from './snapshot-buckets.ts';
import { toIndex, toSnapshotSecret } from './snapshot-buckets.ts';

/** Writes the index Secret, also over one that could not be read. Throws when somebody else writes it at the same time. */
export async function writeIndex({ cluster, namespace }: { cluster: Cluster; namespace: string }, layout: SnapshotLayout): Promise<void> {
  const index = toSnapshotSecret(toIndex(layout), namespace);
  const created = await cluster.create(index);
  if (created.outcome === 'written') return;
  const known = await cluster.get<SecretObject>({ kind: 'Secret', namespace, name: snapshotIndexName });
  if (known === undefined) throw new ClusterError('Unavailable', 'the index vanished while it was read');
  const replaced = await cluster.replace({ ...known, data: index.data ?? {} });
  if (replaced.outcome !== 'written') throw new ClusterError('Unavailable', 'the index is written by somebody else');
}
