import type { Cluster } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';

/** The cluster with every write refused while `mayWrite` says no: a process that has lost the lease, even while it was stopped, must not write over its successor. */
export function toWriteGuarded(cluster: Cluster, mayWrite: () => boolean): Cluster {
  const guard = (): void => {
    if (!mayWrite()) throw new ClusterError('Unavailable', 'this process does not lead any more');
  };
  return {
    reflect: (options) => cluster.reflect(options),
    get: (reference) => cluster.get(reference),
    list: (options) => cluster.list(options),
    listEach: (options, take) => cluster.listEach(options, take),
    close: () => cluster.close(),
    async create(object) {
      guard();
      return cluster.create(object);
    },
    async replace(object) {
      guard();
      return cluster.replace(object);
    },
    async patchStatus(object, status) {
      guard();
      return cluster.patchStatus(object, status);
    },
    async remove(reference, precondition) {
      guard();
      return cluster.remove(reference, precondition);
    },
    recordEvent(event) {
      if (mayWrite()) cluster.recordEvent(event);
    },
  };
}
