import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { startAdminServer } from '../runtime/admin-server.ts';
import { systemClock } from '../runtime/clock.ts';
import { exitWithMistakes } from '../runtime/environment.ts';
import { makeLifecycle } from '../runtime/lifecycle.ts';
import { makeLog } from '../runtime/log.ts';
import { makeMetrics } from '../runtime/metrics.ts';
import { makeRedisLink, type RedisLink } from '../runtime/redis-link.ts';
import { toRedisSource } from '../runtime/redis-settings.ts';
import { followSealFile } from '../runtime/seal-file.ts';
import { makeRedisChannelReports } from './channels/channel-reports.ts';
import { findKubeConfigMistakes } from './cluster/kubernetes/kubeconfig-mistakes.ts';
import { makeKubernetesCluster } from './cluster/kubernetes/kubernetes.ts';
import { parseOperatorConfig, toOperatorSettings } from './config.ts';
import { followHeartbeats } from './revocation/heartbeats.ts';
import { makeRedisLastUsed } from './credentials/last-used.ts';
import type { LeaderElection } from './leadership/lease.ts';
import { runLeaderElection } from './leadership/lease.ts';
import { startOperator } from './operator.ts';
import { makeRedisBoard } from './revocation/revocation-board.ts';
import { makeRedisBudgetBoard } from './usage/budget-board.ts';
import { makeRedisLimitBoard } from './usage/limit-board.ts';
import { makeRedisUsageSource } from './usage/redis-usage-source.ts';

const leaseName = 'keywright-operator';

/** 60, 40 and 15 s in the proportions of the default. */
function toLeaseTimes(durationMs: number): { durationMs: number; renewDeadlineMs: number; retryMs: number } {
  return { durationMs, renewDeadlineMs: Math.round((durationMs * 2) / 3), retryMs: Math.round(durationMs / 4) };
}

/** Counters that Redis throws away are limits and budgets that nobody holds; it is better found at the installation than by the bill. */
function findEviction(link: RedisLink | undefined): string[] {
  return link?.evicts === true ? ['Redis throws keys away when it is full: set its maxmemory-policy to noeviction'] : [];
}

/** `keywright operator`: settings → cluster → watches → election → one line that says what listens where. */
export async function runOperator(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const parsed = parseOperatorConfig(environment);
  const mistakes = [...(parsed.ok ? [] : parsed.mistakes), ...(await findKubeConfigMistakes(environment))];
  if (!parsed.ok || mistakes.length > 0) return exitWithMistakes(mistakes);
  const { config } = parsed;
  const log = makeLog({ level: config.logLevel, name: 'operator' });
  const lifecycle = makeLifecycle(log);
  lifecycle.handleSignals();

  const metrics = makeMetrics();
  lifecycle.onStop('metrics', () => metrics.close());

  const common = { clock: systemClock, log, metrics };
  const elections: LeaderElection[] = [];
  // Without a lease of our own nothing is written, whatever still runs.
  const mayWrite = () => elections.some((election) => election.leads());
  const cluster = makeKubernetesCluster({ ...common, random: Math.random, mayWrite });
  lifecycle.onStop('cluster', () => cluster.close());

  const seal = followSealFile(parsed.seal, { clock: systemClock, log });
  lifecycle.onStop('seal', () => seal.stop());

  const redis = toRedisSource(config);
  const link = redis && makeRedisLink({ ...redis, name: 'keywright-operator', random: Math.random, log });
  lifecycle.onStop('redis', () => link?.close());
  const heartbeats = link && followHeartbeats({ ...common, link });
  lifecycle.onStop('heartbeats', () => heartbeats?.stop());

  const operator = startOperator({
    ...common,
    cluster,
    settings: toOperatorSettings(config),
    random: (bytes) => randomBytes(bytes),
    settleMs: config.settle,
    board: link && makeRedisBoard(link),
    heartbeats,
    lastUsed: link && makeRedisLastUsed(link),
    channelReports: link && makeRedisChannelReports(link),
    usage: link && {
      feed: { source: makeRedisUsageSource(link), board: makeRedisBudgetBoard(link), limits: makeRedisLimitBoard(link) },
      maxKeySeries: config.maxKeySeries,
    },
    mayWrite,
    seal,
  });
  lifecycle.onStop('operator', () => operator.stop());

  const election = runLeaderElection({
    ...common,
    cluster,
    namespace: config.namespace,
    name: leaseName,
    ...toLeaseTimes(config.leaseDuration),
    identity: `${hostname()}_${randomBytes(6).toString('hex')}`,
    random: Math.random,
    mayLead: () => operator.mayLead(),
    onElected: (signal) => operator.lead(signal),
    onLost: () => log.warn('not leading any more'),
  });
  elections.push(election);
  lifecycle.onStop('election', () => election.stop());

  const admin = await startAdminServer({
    listen: config.adminListen,
    metrics,
    readiness: () => [...operator.readiness(), ...findEviction(link)],
    log,
  });
  lifecycle.onStop('admin', () => admin.close());

  log.info({ event: 'listening', address: admin.address, admin: admin.address }, 'serving');
}
