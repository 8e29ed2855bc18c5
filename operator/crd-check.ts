import type { Cluster, ClusterObject } from './cluster/cluster.ts';

/** Which schema this version enforces; the CRDs carry the number of theirs. */
const schemaVersion = 1;
const annotation = 'keywright.dev/schema-version';
const names = ['virtualkeys.keywright.dev', 'channels.keywright.dev'] as const;

/** Names of the CRDs that are missing or older than what this version enforces. A newer one is fine: it knows every field of ours. */
export async function findOutdatedCrds(cluster: Pick<Cluster, 'get'>): Promise<string[]> {
  const outdated: string[] = [];
  for (const name of names) {
    const crd = await cluster.get<ClusterObject>({ kind: 'CustomResourceDefinition', name });
    const version = Number(crd?.metadata.annotations?.[annotation] ?? 0);
    if (!(version >= schemaVersion)) outdated.push(name);
  }
  return outdated;
}
