import { namespaceOf } from '../core/namespace-of.ts';
import type { Counter, Gauge, Histogram } from 'prom-client';
import type { KeyRecord } from '../core/snapshot.ts';
import { makeSeriesBound, type Metrics } from '../runtime/metrics.ts';

export interface ProxyMetrics {
  readonly requests: Counter<'namespace' | 'key' | 'status_class'>;
  readonly channelRequests: Counter<'channel' | 'model' | 'dialect' | 'status'>;
  readonly refusals: Counter<'key' | 'reason'>;
  readonly shadowRefusals: Counter<'key' | 'reason'>;
  readonly duration: Histogram<'dialect'>;
  readonly timeToFirstByte: Histogram<'dialect'>;
  readonly overhead: Histogram<'dialect'>;
  readonly tokens: Counter<'key' | 'kind'>;
  readonly costUsd: Counter<'key'>;
  readonly channelCostUsd: Counter<'channel' | 'model'>;
  readonly unpricedRequests: Counter<'channel' | 'model'>;
  readonly retiringRequests: Counter<'key'>;
  readonly authFailures: Counter<'reason'>;
  readonly upstreamRequests: Counter<'channel' | 'credential' | 'outcome'>;
  readonly upstreamRetries: Counter<'channel'>;
  readonly upstreamRetriesWithheld: Counter<'channel'>;
  readonly usageEstimated: Counter<'reason'>;
  readonly streamsAborted: Counter<'side'>;
  readonly reservationOvershoot: Histogram<string>;
  readonly reservationOvershootUsd: Histogram<string>;
  /** the key's label value: its id, or `other` beyond the bound */
  keyLabel(keyId: string): string;
  /** the same, and whose key it is stands in `key_info` from now on */
  ownedKeyLabel(record: Pick<KeyRecord, 'id' | 'owner'>): string;
}

const longSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const shortSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
const usdSteps = [0.000_001, 0.000_01, 0.0001, 0.001, 0.01, 0.1, 1, 10];
const tokenSteps = [0, 10, 100, 1000, 10_000, 100_000, 1_000_000];

export interface ProxyMetricsOptions {
  readonly metrics: Metrics;
  /** how many keys have series of their own */
  readonly maxKeys: number;
  readonly now: () => number;
  readonly inFlight: () => number;
}

/** The metrics of the request path (docs/metrics.md). Every label is bounded: keys by `maxKeys`, models and channels by the snapshot. */
export function makeProxyMetrics({ metrics, maxKeys, now, inFlight }: ProxyMetricsOptions): ProxyMetrics {
  metrics.gauge({ name: 'in_flight_requests', help: 'Requests that run now.', collect: (gauge) => gauge.set(inFlight()) });
  const keyInfo = metrics.gauge({
    name: 'key_info',
    help: 'Owner of a key, to be joined by key; always 1.',
    labels: ['namespace', 'key', 'team', 'project'],
  });
  const own = {
    requests: metrics.counter({ name: 'requests_total', help: 'Requests with a known key.', labels: ['namespace', 'key', 'status_class'] }),
    channelRequests: metrics.counter({
      name: 'channel_requests_total',
      help: 'Answers of a Channel that reached a client.',
      labels: ['channel', 'model', 'dialect', 'status'],
    }),
    refusals: metrics.counter({ name: 'refusals_total', help: 'Requests that the gateway refused.', labels: ['key', 'reason'] }),
    shadowRefusals: metrics.counter({
      name: 'shadow_refusals_total',
      help: 'Requests that a limit in Shadow mode would have refused.',
      labels: ['key', 'reason'],
    }),
    duration: metrics.histogram({
      name: 'request_duration_seconds',
      help: 'From the headers of the request to the end of the answer.',
      labels: ['dialect'],
      buckets: longSeconds,
    }),
    timeToFirstByte: metrics.histogram({
      name: 'time_to_first_byte_seconds',
      help: 'From the headers of the request to the first byte of the answer.',
      labels: ['dialect'],
      buckets: longSeconds,
    }),
    overhead: metrics.histogram({
      name: 'overhead_seconds',
      help: 'Time to the first byte without what the upstream took.',
      labels: ['dialect'],
      buckets: shortSeconds,
    }),
    tokens: metrics.counter({
      name: 'tokens_total',
      help: 'Tokens used. input and output are totals; the other kinds are parts of them.',
      labels: ['key', 'kind'],
    }),
    costUsd: metrics.counter({ name: 'cost_usd_total', help: 'Cost of requests, in US dollars.', labels: ['key'] }),
    channelCostUsd: metrics.counter({
      name: 'channel_cost_usd_total',
      help: 'Cost of answers by the Channel that gave them, in US dollars.',
      labels: ['channel', 'model'],
    }),
    unpricedRequests: metrics.counter({
      name: 'unpriced_requests_total',
      help: 'Answers that used something that nobody has priced.',
      labels: ['channel', 'model'],
    }),
    retiringRequests: metrics.counter({
      name: 'retiring_credential_requests_total',
      help: 'Requests with a credential that a rotation has replaced.',
      labels: ['key'],
    }),
    authFailures: metrics.counter({ name: 'auth_failures_total', help: 'Requests without a usable key.', labels: ['reason'] }),
    upstreamRequests: metrics.counter({
      name: 'upstream_requests_total',
      help: 'Attempts at a provider.',
      labels: ['channel', 'credential', 'outcome'],
    }),
    upstreamRetries: metrics.counter({
      name: 'upstream_retries_total',
      help: 'Attempts after the first one of a request.',
      labels: ['channel'],
    }),
    upstreamRetriesWithheld: metrics.counter({
      name: 'upstream_retries_withheld_total',
      help: 'Repetitions that were not made because a Channel gets them for at most a fifth of its requests.',
      labels: ['channel'],
    }),
    usageEstimated: metrics.counter({ name: 'usage_estimated_total', help: 'Requests whose usage no provider told.', labels: ['reason'] }),
    streamsAborted: metrics.counter({
      name: 'streams_aborted_total',
      help: 'Answers that ended early, by the side that ended them.',
      labels: ['side'],
    }),
    reservationOvershoot: metrics.histogram({
      name: 'reservation_overshoot_tokens',
      help: 'True tokens above the reservation of a request.',
      buckets: tokenSteps,
    }),
    reservationOvershootUsd: metrics.histogram({
      name: 'reservation_overshoot_usd',
      help: 'True cost above what a request had reserved of its budgets.',
      buckets: usdSteps,
    }),
  } as const;
  const byKey = [keyInfo, own.requests, own.refusals, own.shadowRefusals, own.tokens, own.costUsd, own.retiringRequests];
  const owners = makeOwners(keyInfo);
  const bound = makeSeriesBound(maxKeys, {
    now,
    onEvicted(key) {
      owners.forget(key);
      void Promise.all(byKey.map((metric) => removeKey(metric, key)));
    },
  });
  return {
    ...own,
    keyLabel: (keyId) => bound.label(keyId),
    ownedKeyLabel({ id, owner }) {
      const label = bound.label(id);
      if (label === id) owners.tell(id, owner);
      return label;
    },
  };
}

type Owner = KeyRecord['owner'];

/** One series a key, whoever owns it by now: with two of them no query could join by key. A key without an owner has one as well, or the join would lose what it used. */
function makeOwners(keyInfo: Gauge<'namespace' | 'key' | 'team' | 'project'>): {
  tell(keyId: string, owner: Owner): void;
  forget(keyId: string): void;
} {
  const told = new Map<string, { readonly owner: Owner; readonly team: string; readonly project: string }>();
  const toLabels = (key: string, { team, project }: { team: string; project: string }) => ({
    namespace: namespaceOf(key),
    key,
    team,
    project,
  });
  return {
    tell(keyId, owner) {
      const known = told.get(keyId);
      // records are replaced, never changed
      if (known !== undefined && known.owner === owner) return;
      const next = { owner, team: owner?.team ?? '', project: owner?.project ?? '' };
      if (known !== undefined) keyInfo.remove(toLabels(keyId, known));
      keyInfo.set(toLabels(keyId, next), 1);
      told.set(keyId, next);
    },
    forget: (keyId) => void told.delete(keyId),
  };
}

async function removeKey(metric: Counter<string> | Gauge<string>, key: string): Promise<void> {
  for (const { labels } of (await metric.get()).values) {
    if (labels['key'] === key) metric.remove(labels);
  }
}
