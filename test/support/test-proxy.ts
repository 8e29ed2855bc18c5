import { Writable } from 'node:stream';
import { type CompiledKey, compileKey } from '../../core/authorize.ts';
import type { ChannelRecord, KeyRecord } from '../../core/snapshot.ts';
import { makeAddressCheck } from '../../proxy/keys/address-range.ts';
import type { Admission, AdmitAnswer, Counters, Settlement } from '../../proxy/counters/counters.ts';
import { makeMemoryCounters } from '../../proxy/counters/memory.ts';
import type { KeyIndex } from '../../proxy/parts.ts';
import { makeRevocations, type Revocations } from '../../proxy/keys/revocations.ts';
import type { StoredObjects } from '../../proxy/stored-objects/stored-objects.ts';
import { type Proxy, type ServerSettings, startProxy } from '../../proxy/server.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics, type Metrics } from '../../runtime/metrics.ts';
import { makeKeyRecord } from './records.ts';

export interface TestIndex extends KeyIndex {
  keys: readonly CompiledKey[];
  channels: readonly ChannelRecord[];
  ready: boolean;
  disconnected: number;
  /** tells the proxy that a key has ended, as a snapshot would */
  end(keyId: string, reason: 'revoked' | 'deleted', credentialId?: string): void;
}

export function makeTestIndex(keys: readonly KeyRecord[], channels: readonly ChannelRecord[]): TestIndex {
  const listeners = new Set<Parameters<KeyIndex['onEnded']>[0]>();
  return {
    keys: keys.map((record) => compileKey(record, makeAddressCheck(record.access.cidrs))),
    channels,
    ready: true,
    disconnected: 0,
    find(hash) {
      for (const key of this.keys) {
        const credential = key.record.credentials.find((candidate) => candidate.hash === hash);
        if (credential !== undefined) return { key, credential };
      }
      return undefined;
    },
    channelsFor() {
      return this.channels;
    },
    missing() {
      return this.ready ? [] : ['snapshot'];
    },
    disconnectedMs() {
      return this.disconnected;
    },
    onEnded(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    end(keyId, reason, credentialId) {
      for (const listener of listeners) listener(keyId, reason, credentialId);
    },
  };
}

/** Real counters that also remember what they were told. */
export interface RecordingCounters extends Counters {
  readonly admissions: Admission[];
  readonly settlements: Settlement[];
  readonly renewals: { requestId: string; tokens: number; costNanoUsd: number }[];
  /** answers instead of the real counters when set */
  answer: (() => Promise<AdmitAnswer>) | undefined;
}

function makeRecordingCounters(now: () => number): RecordingCounters {
  const real = makeMemoryCounters({ now, random: () => 0 });
  return {
    admissions: [],
    settlements: [],
    renewals: [],
    answer: undefined,
    async admit(admission) {
      const answer = await (this.answer === undefined ? real.admit(admission) : this.answer());
      if (answer.outcome === 'admitted') this.admissions.push(admission);
      return answer;
    },
    peek: (question) => real.peek(question),
    settle(settlement) {
      this.settlements.push(settlement);
      real.settle(settlement);
    },
    renew(admission, tokens, costNanoUsd = 0) {
      this.renewals.push({ requestId: admission.requestId, tokens, costNanoUsd });
      real.renew(admission, tokens, costNanoUsd);
    },
    flush: () => real.flush(),
    close: () => real.close(),
  };
}

export interface TestProxy {
  readonly proxy: Proxy;
  readonly url: string;
  readonly port: number;
  readonly index: TestIndex;
  readonly revocations: Revocations;
  readonly counters: RecordingCounters;
  readonly metrics: Metrics;
  /** everything that was logged, as text */
  logText(): string;
  accessLines(): Record<string, unknown>[];
  stop(): Promise<void>;
}

export interface TestProxyOptions {
  readonly channels: readonly ChannelRecord[];
  readonly keys?: readonly KeyRecord[];
  readonly settings?: Partial<ServerSettings>;
  /** the clock of the counters, ms since 1970 */
  readonly now?: () => number;
  /** default: this proxy alone remembers them */
  readonly storedObjects?: StoredObjects;
  /** in [0, 1); default: always 0 */
  readonly random?: () => number;
  /** of everything else */
  readonly clock?: Clock;
}

export async function startTestProxy({
  channels,
  keys = [makeKeyRecord()],
  settings = {},
  now = Date.now,
  storedObjects,
  random = () => 0,
  clock = systemClock,
}: TestProxyOptions): Promise<TestProxy> {
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const index = makeTestIndex(keys, channels);
  const counters = makeRecordingCounters(now);
  const metrics = makeMetrics();
  const revocations = makeRevocations({
    now: Date.now,
    recordOf: (keyId) => index.keys.find(({ record }) => record.id === keyId)?.record,
    metrics,
  });
  const proxy = await startProxy({
    settings: {
      listen: { host: '127.0.0.1', port: 0 },
      maxBodyBytes: 1 << 20,
      maxBufferedBytes: 8 << 20,
      maxInFlight: 100,
      drainMs: 2000,
      trustedProxies: [],
      corsOrigins: [],
      maxKeySeries: 100,
      ...settings,
    },
    index,
    revocations,
    counters,
    log: makeLog({ level: 'debug', name: 'proxy', destination }),
    metrics,
    clock,
    random,
    storedObjects,
  });
  return {
    proxy,
    url: proxy.address,
    port: Number(new URL(proxy.address).port),
    index,
    revocations,
    counters,
    metrics,
    logText: () => lines.join(''),
    accessLines: () =>
      lines
        .join('')
        .split('\n')
        .filter((line) => line.includes('"event":"access"'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    async stop() {
      await proxy.drain();
      metrics.close();
    },
  };
}
