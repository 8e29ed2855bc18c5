import type { Cluster } from '../../operator/cluster/cluster.ts';
import { makeKubernetesCluster } from '../../operator/cluster/kubernetes/kubernetes.ts';
import { findKubeConfig } from '../../proxy/kubernetes/kube-config.ts';
import { makeKubernetesSource } from '../../proxy/kubernetes/kubernetes-source.ts';
import { SnapshotIndex } from '../../proxy/snapshot/snapshot-index.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { eventually } from '../support/eventually.ts';

export const log = makeLog({ level: 'silent', name: 'test' });

/** What has to be ended after a test, the latest first. */
export const ends: (() => Promise<void>)[] = [];

/** A connection of the operator's kind. */
export function connect(kubeconfigPath: string, clock: Clock = systemClock): Cluster {
  const metrics = makeMetrics();
  const cluster = makeKubernetesCluster({
    kubeconfigPath,
    log,
    metrics,
    clock,
    random: Math.random,
    mayWrite: () => true,
  });
  ends.push(async () => {
    await cluster.close();
    metrics.close();
  });
  return cluster;
}

/** What a proxy with the snapshot of this namespace holds. */
export function startProxy(kubeconfigPath: string, namespace: string): SnapshotIndex {
  const found = findKubeConfig({ KUBECONFIG: kubeconfigPath });
  if (!found.ok) throw new Error(found.mistake);
  const metrics = makeMetrics();
  const index = new SnapshotIndex({ log, metrics, clock: systemClock });
  const source = makeKubernetesSource({ connection: found.connection, namespace, log, clock: systemClock, random: Math.random });
  source.start(index);
  ends.push(async () => {
    await source.stop();
    metrics.close();
  });
  return index;
}

export const until = (holds: () => boolean | Promise<boolean>): Promise<unknown> => eventually(holds, { withinMs: 60_000, everyMs: 5 });
