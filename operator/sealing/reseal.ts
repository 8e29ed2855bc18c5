import type { Registry } from 'prom-client';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { describeError } from '../describe-error.ts';
import { countAtScrape, gaugeOf } from '../metric.ts';
import type { SealedCluster } from './sealed-cluster.ts';
import type { WorkQueue } from '../queue/work-queue.ts';
import { makeWorkQueue } from '../queue/work-queue.ts';

export interface ResealingOptions {
  readonly cluster: SealedCluster;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
}

/** Few at once: nobody waits for it, and the keys' own writes go before it. */
const concurrency = 2;

/** Writes our Secrets anew, each once, until all are sealed as new ones are. The work of the leader. */
export function startResealing({ cluster, clock, random, log, metrics }: ResealingOptions): Pick<WorkQueue, 'stop'> {
  const queue = makeWorkQueue({
    clock,
    random,
    concurrency,
    name: 'reseal',
    metrics,
    work: (name) => cluster.reseal(name),
    onError: (name, error) =>
      log.warn({ secret: name, error: describeError(error) }, 'a Secret could not be sealed anew; it is tried again'),
  });
  for (const name of cluster.stale((stale) => queue.add(stale))) queue.add(name);
  return queue;
}

export function addSealMetrics(registry: Registry, cluster: SealedCluster): void {
  countAtScrape(
    gaugeOf(registry, 'keywright_seal_stale_secrets', 'Own Secrets that are sealed otherwise than new ones are; 0: an old key may go'),
    (gauge) => gauge.set(cluster.staleCount),
  );
  countAtScrape(
    gaugeOf(
      registry,
      'keywright_seal_locked_secrets',
      'Own Secrets that cannot be opened with the keys at hand; nothing is written while there are any',
    ),
    (gauge) => gauge.set(cluster.lockedCount),
  );
}
