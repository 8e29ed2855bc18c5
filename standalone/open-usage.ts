import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { UsageSettings } from '../operator/usage/usage-keeper.ts';
import { makeRedisBudgetBoard } from '../operator/usage/budget-board.ts';
import { makeRedisLimitBoard } from '../operator/usage/limit-board.ts';
import { makeRedisUsageSource } from '../operator/usage/redis-usage-source.ts';
import type { Counters } from '../proxy/counters/counters.ts';
import { makeMemoryCounters } from '../proxy/counters/memory.ts';
import { openCounters, type CountersSettings } from '../proxy/counters/open-counters.ts';
import { startHeartbeat } from '../proxy/snapshot/heartbeat.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { makeRedisLink } from '../runtime/redis-link.ts';
import { type RedisSource, toRedisSource } from '../runtime/redis-settings.ts';
import { makeSharedStoredObjects } from '../proxy/stored-objects/shared.ts';
import type { StoredObjects } from '../proxy/stored-objects/stored-objects.ts';
import { makeMemoryUsage, type MemoryUsage } from './memory-usage.ts';
import { makeUsageFile } from './usage-file.ts';

export interface StandaloneUsageOptions {
  readonly settings: CountersSettings & { readonly maxKeySeries: number; readonly replicas: number };
  /** the state folder */
  readonly directory: string;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** How much of what was spent a crash may forget. */
const keepEveryMs = 2_000;

interface OpenUsage {
  readonly counters: Counters;
  readonly usage: UsageSettings;
  readonly storedObjects?: StoredObjects;
  close(): Promise<void>;
}

/** The counters, with what was spent in a former run, and who keeps it for the next one. */
export async function openUsage(options: StandaloneUsageOptions): Promise<OpenUsage> {
  const { settings, directory, log } = options;
  const store = makeUsageFile(directory);
  const { maxKeySeries } = settings;
  const kept = { store, maxKeySeries, flushes: true, pace: { readMs: 500, checkpointMs: keepEveryMs } };
  const source = toRedisSource(settings);
  if (source !== undefined) return openShared(options, source, kept);
  const { checkpoints, unreadable } = store.read();
  const after = checkpoints.flatMap(({ through }) => Object.values(through));
  const memory = makeMemoryUsage({ now: Date.now, after });
  const counters = makeMemoryCounters({ now: Date.now, onUsage: (event) => memory.take(event) });
  counters.restoreBudgets(Object.fromEntries(checkpoints.flatMap(({ keys }) => keys.map(({ id, spent }) => [id, spent]))));
  log.info(
    { event: 'limits_per_process', keys: checkpoints[0]?.keys.length ?? 0, readable: unreadable.size === 0 },
    'without Redis limits are counted by this process alone and start anew with it; what was spent is kept',
  );
  return { counters: noteRunning(counters, memory), usage: { ...kept, feed: memory.toFeed(counters) }, close: async () => {} };
}

/** In Redis, where other processes may count too. */
async function openShared(
  { settings, log, metrics }: StandaloneUsageOptions,
  source: RedisSource,
  kept: Omit<UsageSettings, 'feed'>,
): Promise<OpenUsage> {
  const link = makeRedisLink({ ...source, name: 'keywright-standalone', random: Math.random, log });
  // each must know for how many it decides when Redis is away
  const proxy = `${hostname()}-${randomBytes(6).toString('hex')}`;
  const heartbeat = startHeartbeat({ link, proxy, inForce: () => 'own', clock: systemClock, log, metrics });
  const replicas = (): number => heartbeat.living() ?? settings.replicas;
  const counting = openCounters({ ...settings, replicas }, { log, metrics, link });
  const feed = { source: makeRedisUsageSource(link), board: makeRedisBudgetBoard(link), limits: makeRedisLimitBoard(link) };
  return {
    counters: await counting,
    usage: { ...kept, feed },
    storedObjects: makeSharedStoredObjects({ link }),
    async close() {
      await heartbeat.stop();
      await link.close();
    },
  };
}

/** A long answer is charged while it flows, and only its end is told by an entry: a crash must not forget all of it. */
function noteRunning(counters: Counters, { noteSpending }: Pick<MemoryUsage, 'noteSpending'>): Counters {
  return {
    ...counters,
    renew(admission, tokens, costNanoUsd) {
      counters.renew(admission, tokens, costNanoUsd);
      if (admission.money !== undefined) noteSpending(admission.keyId);
    },
  };
}
