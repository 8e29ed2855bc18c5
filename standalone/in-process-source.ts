import { snapshotEntry, snapshotSecretType } from '../core/snapshot.ts';
import type { Cluster, Reflector, SecretObject } from '../operator/cluster/cluster.ts';
import type { SnapshotSource } from '../proxy/snapshot/snapshot-source.ts';

/** The snapshot read from the operator's own cluster in this process: the same documents a proxy pod reads through a watch. */
export function makeInProcessSource(cluster: Cluster, namespace: string): SnapshotSource {
  let reflector: Reflector | undefined;
  return {
    start(sink) {
      sink.connected(true);
      reflector = cluster.reflect<SecretObject>({
        kind: 'Secret',
        namespace,
        fieldSelector: `type=${snapshotSecretType}`,
        onEvent(event) {
          if (event.type === 'Synced') return sink.synced();
          const { name } = event.object.metadata;
          if (event.type === 'Deleted') return sink.removed(name);
          const document = event.object.data?.[snapshotEntry];
          return document === undefined ? undefined : sink.document(name, Buffer.from(document, 'base64'));
        },
      });
    },
    async stop() {
      await reflector?.stop();
    },
  };
}
