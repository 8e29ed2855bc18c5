import type { Hidden } from '../../runtime/environment.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { Counters } from './counters.ts';
import { makeMemoryCounters } from './memory.ts';
import { makeRedisCounters } from './redis.ts';
import type { FailurePolicy } from './shared-counters.ts';

export interface CountersSettings {
  /** absent = counted by this process alone */
  readonly redisUrl: Hidden | undefined;
  readonly redisFailurePolicy: FailurePolicy;
  readonly replicas: number | (() => number);
}

/** How long the first connection may take before the failure policy decides: a process that has just started must not count alone for want of a handshake. */
const firstConnectionMs = 1_000;

/** The counters that the settings ask for. Redis may be away: then the failure policy decides until it comes. */
export async function openCounters(
  { redisUrl, redisFailurePolicy, replicas }: CountersSettings,
  log: Log,
  metrics: Metrics,
): Promise<Counters> {
  if (redisUrl === undefined) {
    log.info({ event: 'limits_per_process' }, 'without Redis limits are counted by this process alone and start anew with it');
    return makeMemoryCounters({ now: Date.now });
  }
  const url = redisUrl.reveal();
  const counters = makeRedisCounters({
    url,
    log,
    metrics,
    failurePolicy: redisFailurePolicy,
    replicas,
    now: Date.now,
    random: Math.random,
  });
  await counters.ready(firstConnectionMs);
  return counters;
}
