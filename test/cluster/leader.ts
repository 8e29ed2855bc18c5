import { systemClock } from '../../runtime/clock.ts';
import { makeLog } from '../../runtime/log.ts';
import { Registry } from 'prom-client';
import { makeKubernetesCluster } from '../../operator/cluster/kubernetes/kubernetes.ts';
import { runLeaderElection } from '../../operator/leadership/lease.ts';
import { toWriteGuarded } from '../../operator/leadership/write-guard.ts';

/**
 * A process that does what `keywright operator` does with its lease, with times of seconds: while it leads it makes one Secret after the other, `<identity>-<n>`.
 * For tests that stop it.
 */
const [, , kubeconfigPath = '', namespace = '', identity = ''] = process.argv;
const log = makeLog({ level: 'info', name: identity });
const metrics = { registry: new Registry() };
const elections: { leads(): boolean }[] = [];
const mayWrite = () => elections.some((election) => election.leads());
const cluster = makeKubernetesCluster({ kubeconfigPath, log, metrics, clock: systemClock, random: Math.random, mayWrite });
const guarded = toWriteGuarded(cluster, mayWrite);
let written = 0;

async function work(signal: AbortSignal): Promise<void> {
  log.info({ event: 'leading' }, 'leading');
  while (!signal.aborted) {
    const metadata = { namespace, name: `${identity}-${written}` };
    await guarded
      .create({ apiVersion: 'v1', kind: 'Secret', metadata })
      .catch((error: unknown) => log.info({ why: String(error) }, 'refused'));
    written += 1;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const election = runLeaderElection({
  cluster,
  namespace,
  name: 'leader',
  identity,
  clock: systemClock,
  random: Math.random,
  log,
  metrics,
  onElected: work,
  onLost: () => log.info({ event: 'lost' }, 'lost'),
  durationMs: 4_000,
  renewDeadlineMs: 2_500,
  retryMs: 500,
});
elections.push(election);
process.on('SIGTERM', () => void election.stop().then(() => process.exit(0)));
