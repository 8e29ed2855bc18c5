import { PassThrough } from 'node:stream';
import { afterEach } from 'vitest';
import type { Admission, LimitWindow } from '../../proxy/counters/counters.ts';
import { makeRedisCounters, type RedisCountersOptions } from '../../proxy/counters/redis.ts';
import type { SharedCounters } from '../../proxy/counters/shared-counters.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics, type Metrics } from '../../runtime/metrics.ts';

/** The counters of one proxy, with what it says of them. */
export interface CountersProxy {
  readonly counters: SharedCounters;
  readonly metrics: Metrics;
  logged(): string;
}

export interface CountersProxies {
  start(options?: Partial<RedisCountersOptions>): Promise<CountersProxy>;
  /** ends all that were started */
  end(): Promise<void>;
}

/** Proxies on one Redis, as far as their counters go. `usual` is asked for each, because the Redis of a test file starts late. */
export function makeCountersProxies(usual: () => Pick<RedisCountersOptions, 'url' | 'replicas' | 'restoreTimes'>): CountersProxies {
  let ends: (() => Promise<void>)[] = [];
  return {
    async start(options = {}) {
      const destination = new PassThrough();
      let text = '';
      destination.on('data', (chunk: Buffer) => (text += chunk.toString()));
      const metrics = makeMetrics();
      const log = makeLog({ level: 'debug', name: 'test', destination });
      // a busy test machine must not turn a slow answer into one of the local share; tests of waiting name a deadline of their own
      const counters = makeRedisCounters({ log, metrics, remembers: false, now: Date.now, deadlineMs: 5_000, ...usual(), ...options });
      ends.push(async () => {
        await counters.close();
        metrics.close();
      });
      await counters.ready(1_000);
      return { counters, metrics, logged: () => text };
    },
    async end() {
      await Promise.all(ends.map((end) => end()));
      ends = [];
    },
  };
}

/** The same for the tests of a file: what one of them starts ends with it. */
export function useCountersProxies(usual: Parameters<typeof makeCountersProxies>[0]): Pick<CountersProxies, 'start'> {
  const proxies = makeCountersProxies(usual);
  afterEach(() => proxies.end());
  return proxies;
}

let nextRequest = 0;

/** An admission of a name of its own. */
export function makeAdmission(windows: readonly LimitWindow[], rest: Partial<Admission> = {}): Admission {
  nextRequest += 1;
  const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
  return { requestId: `request-${nextRequest}`, keyId: 'team-a/app', bearer, windows, tokens: 0, holdMs: 30_000, ...rest };
}

/** The request has ended and used so many tokens. */
export function settleAdmission(counters: SharedCounters, { requestId, keyId, windows, concurrency }: Admission, tokens: number): void {
  counters.settle({ requestId, keyId, windows, tokens, concurrency: concurrency !== undefined, refundRequest: false });
}
