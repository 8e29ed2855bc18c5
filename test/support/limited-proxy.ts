import { tagOf } from '../../core/hash-tag.ts';
import type { AdmitAnswer, LimitWindow } from '../../proxy/counters/counters.ts';
import { makeRedisCounters, type RedisCountersOptions } from '../../proxy/counters/redis.ts';
import type { SharedCounters } from '../../proxy/counters/shared-counters.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';

export interface LimitedProxy {
  readonly counters: SharedCounters;
  /** one request of this key against a limit of so many requests a minute */
  ask(keyId: string, limit: number): Promise<AdmitAnswer>;
  close(): Promise<void>;
}

let number = 0;

/** The counters of one proxy that admits nothing without Redis, so that all that is admitted is Redis' word. */
export async function startLimitedProxy(options: Pick<RedisCountersOptions, 'url' | 'caFile' | 'sentinelPassword'>): Promise<LimitedProxy> {
  const metrics = makeMetrics();
  const log = makeLog({ level: 'silent', name: 'test' });
  const counters = makeRedisCounters({ ...options, log, metrics, replicas: 1, now: Date.now, failurePolicy: 'Closed', deadlineMs: 2_000 });
  await counters.ready(10_000);
  return {
    counters,
    ask(keyId, limit) {
      number += 1;
      const windows: LimitWindow[] = [{ name: 'rpm', unit: 'requests', span: 'minute', limit, shadow: false }];
      const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
      return counters.admit({ requestId: `${tagOf(keyId)}-${number}`, keyId, bearer, windows, tokens: 0, holdMs: 30_000 });
    },
    async close() {
      await counters.close();
      metrics.close();
    },
  };
}
