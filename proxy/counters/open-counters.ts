import { budgetResetChannel, parseBudgetResetMessage, parseRestoreQuestion, restoreChannel } from '../../core/budget-restore.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import { type RedisSourceSettings, toRedisSource } from '../../runtime/redis-settings.ts';
import type { BudgetRestore } from './outage/budget-restorer.ts';
import type { Counters } from './counters.ts';
import { makeMemoryCounters } from './memory.ts';
import { makeRedisCounters } from './redis.ts';
import type { FailurePolicy } from './outage/fallback.ts';
import type { LimitMode } from './shared-counters.ts';

/** Without `redisUrl` this process counts alone. */
export interface CountersSettings extends RedisSourceSettings {
  readonly redisFailurePolicy: FailurePolicy;
  readonly limitMode: LimitMode;
  readonly replicas: number | (() => number);
  readonly budgetRestore: BudgetRestore;
}

/** How long the first connection may take before the failure policy decides: a process that has just started must not count alone for want of a handshake. */
const firstConnectionMs = 1_000;

/** The counters that the settings ask for. Redis may be away: then the failure policy decides until it comes. */
export async function openCounters(
  { redisFailurePolicy, limitMode, replicas, budgetRestore, ...settings }: CountersSettings,
  { log, metrics, link }: { log: Log; metrics: Metrics; link?: Pick<RedisLink, 'subscribe'> | undefined },
): Promise<Counters> {
  const source = toRedisSource(settings);
  if (source === undefined) {
    log.info({ event: 'limits_per_process' }, 'without Redis limits are counted by this process alone and start anew with it');
    return makeMemoryCounters({ now: Date.now });
  }
  const counters = makeRedisCounters({
    ...source,
    log,
    metrics,
    failurePolicy: redisFailurePolicy,
    limitMode,
    replicas,
    budgetRestore,
    now: Date.now,
    random: Math.random,
  });
  link?.subscribe(restoreChannel, (message) => {
    const question = parseRestoreQuestion(message);
    if (question !== undefined) counters.budgets.asked(question);
  });
  link?.subscribe(budgetResetChannel, (message) => {
    const reset = parseBudgetResetMessage(message);
    if (reset !== undefined) counters.budgets.reset(reset);
  });
  await counters.ready(firstConnectionMs);
  return counters;
}
