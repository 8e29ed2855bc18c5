import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Cluster, ClusterObject } from './cluster/cluster.ts';
import { describeError } from './describe-error.ts';
import { wait } from './wait.ts';

/** Which schema this version enforces; the CRDs carry the number of theirs. */
const schemaVersion = 1;
const annotation = 'keywright.dev/schema-version';
const names = ['virtualkeys.keywright.dev', 'channels.keywright.dev'] as const;

const retryMs = 30_000;

export interface CrdCheckOptions {
  readonly cluster: Pick<Cluster, 'get'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** empty: they fit */
  readonly onOutdated: (names: readonly string[]) => void;
}

/** Until they fit: with an older schema the API server drops fields that we enforce, so a key could be published with less than its owner wrote. */
export async function waitForCrds({ cluster, clock, log, signal, onOutdated }: CrdCheckOptions): Promise<void> {
  while (!signal.aborted) {
    try {
      const outdated = await findOutdatedCrds(cluster);
      onOutdated(outdated);
      if (outdated.length === 0) return;
      log.error({ crds: outdated }, 'CRDs are missing or older than this version needs; nothing is published');
    } catch (error) {
      log.warn({ error: describeError(error) }, 'the CRDs cannot be read; allow it or set KEYWRIGHT_CRD_CHECK=off');
    }
    await wait(clock, retryMs, signal);
  }
}

/** Names of the CRDs that are missing or older than what this version enforces. A newer one is fine: it knows every field of ours. */
async function findOutdatedCrds(cluster: Pick<Cluster, 'get'>): Promise<string[]> {
  const outdated: string[] = [];
  for (const name of names) {
    const crd = await cluster.get<ClusterObject>({ kind: 'CustomResourceDefinition', name });
    const version = Number(crd?.metadata.annotations?.[annotation] ?? 0);
    if (!(version >= schemaVersion)) outdated.push(name);
  }
  return outdated;
}
