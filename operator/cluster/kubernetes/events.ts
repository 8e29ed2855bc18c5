import type { Registry } from 'prom-client';
import type { Clock, Timer } from '../../../runtime/clock.ts';
import { counterOf } from '../../metric.ts';
import { FairLine } from '../../queue/fair-line.ts';
import type { ClusterEvent, ClusterObject } from '../cluster.ts';
import { toTimestamp } from '../timestamp.ts';
import type { ApiClient } from './client.ts';
import { fieldOf } from './answer.ts';
import { sleep } from './sleep.ts';

export interface EventRecorder {
  record(event: ClusterEvent): void;
  /** sends what waits, as far as the API server lets it at once */
  close(): Promise<void>;
}

export interface EventRecorderOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: { readonly registry: Registry };
}

/** Events of one reason about one object within this time are one Event that counts. */
const aggregationMs = 10 * 60_000;
const keptAggregates = 4_096;
const waitingAtMost = 1_024;
/** of one namespace: what one tenant's objects have to say must leave room for others */
const waitingOfNamespaceAtMost = 256;
/** an Event that repeats is written ever more seldom, with its count: after 1, 2, 4 … seconds, at last every five minutes */
const shortestRestMs = 1_000;
const longestRestMs = 300_000;
/** a burst, and then this many a second: an Event is a note, and no note is worth the API server */
const burst = 25;
const perSecond = 5;
/** how long the last ones may take */
const closingMs = 2_000;

interface Aggregate {
  readonly event: ClusterEvent;
  readonly firstMs: number;
  message: string;
  lastMs: number;
  count: number;
  /** its name in the API server, once it is there */
  name: string | undefined;
  /** not written again before */
  restUntilMs: number;
  restMs: number;
  resting: Timer | undefined;
}

/**
 * Writes core/v1 Events: aggregated, bounded in rate and number, best effort. Never throws and never waits for the API server;
 * what cannot be written is counted and forgotten.
 */
export function makeEventRecorder(options: EventRecorderOptions): EventRecorder {
  return new Recorder(options);
}

class Recorder implements EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #dropped;
  readonly #aggregates = new Map<string, Aggregate>();
  /** by key; namespaces take turns */
  readonly #waiting = new FairLine<Aggregate>((key) => key.split('\0')[1] ?? '');
  readonly #resting = new Set<Timer>();
  #sending: Promise<void> | undefined;
  #tokens = burst;
  #tokensAtMs: number;
  #wake: Timer | undefined;
  #closed = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#tokensAtMs = options.clock.now();
    this.#dropped = counterOf(options.metrics.registry, 'keywright_events_dropped_total', 'Kubernetes Events that were not written');
  }

  record(told: ClusterEvent): void {
    if (this.#closed) return;
    const event = { ...told, regarding: toReference(told.regarding) };
    const key = toKey(event);
    const aggregate = this.#aggregate(key, event);
    const restMs = aggregate.restUntilMs - this.#options.clock.now();
    if (restMs <= 0) this.#enqueue(key, aggregate);
    else if (aggregate.resting === undefined) this.#rest(key, aggregate, restMs);
  }

  #rest(key: string, aggregate: Aggregate, restMs: number): void {
    const timer = this.#options.clock.after(restMs, () => {
      aggregate.resting = undefined;
      this.#resting.delete(timer);
      this.#enqueue(key, aggregate);
    });
    aggregate.resting = timer;
    this.#resting.add(timer);
  }

  #enqueue(key: string, aggregate: Aggregate): void {
    const isFull = this.#waiting.size >= waitingAtMost || this.#waiting.sizeOfGroup(key) >= waitingOfNamespaceAtMost;
    if (isFull && !this.#waiting.has(key)) {
      this.#dropped.inc();
      return;
    }
    this.#waiting.add(key, aggregate);
    this.#start();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.cancel();
    for (const timer of this.#resting) timer.cancel();
    const given = new AbortController();
    await Promise.race([this.#sending?.finally(() => given.abort()), sleep(this.#options.clock, closingMs, given.signal)]);
    given.abort();
    this.#dropped.inc(this.#waiting.size);
    this.#waiting.clear();
  }

  #aggregate(key: string, event: ClusterEvent): Aggregate {
    const nowMs = this.#options.clock.now();
    const known = this.#aggregates.get(key);
    this.#aggregates.delete(key);
    if (known !== undefined && nowMs - known.lastMs < aggregationMs) {
      known.count += 1;
      known.lastMs = nowMs;
      known.message = event.message;
      this.#aggregates.set(key, known);
      return known;
    }
    const times = { firstMs: nowMs, lastMs: nowMs, restUntilMs: nowMs, restMs: shortestRestMs };
    const fresh: Aggregate = { event, ...times, count: 1, message: event.message, name: undefined, resting: undefined };
    this.#aggregates.set(key, fresh);
    const oldest = this.#aggregates.keys().next().value;
    if (this.#aggregates.size > keptAggregates && oldest !== undefined) this.#aggregates.delete(oldest);
    return fresh;
  }

  #start(): void {
    if (this.#sending !== undefined || this.#wake !== undefined) return;
    this.#sending = this.#send().finally(() => {
      this.#sending = undefined;
      if (this.#waiting.size > 0 && !this.#closed) this.#sleep();
    });
  }

  #sleep(): void {
    this.#wake = this.#options.clock.after(1000 / perSecond, () => {
      this.#wake = undefined;
      this.#start();
    });
  }

  async #send(): Promise<void> {
    // A microtask later, so that what is recorded in one go is aggregated before it is sent.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      if (!this.#takeToken()) return;
      const aggregate = this.#waiting.take()?.[1];
      if (aggregate === undefined) return;
      aggregate.restUntilMs = this.#options.clock.now() + aggregate.restMs;
      aggregate.restMs = Math.min(longestRestMs, aggregate.restMs * 2);
      await this.#write(aggregate).catch(() => this.#dropped.inc());
    }
  }

  #takeToken(): boolean {
    const nowMs = this.#options.clock.now();
    this.#tokens = Math.min(burst, this.#tokens + (Math.max(0, nowMs - this.#tokensAtMs) * perSecond) / 1000);
    this.#tokensAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  async #write(aggregate: Aggregate): Promise<void> {
    const { metadata } = aggregate.event.regarding;
    // An Event about an object without a namespace lives in `default`, as everybody's do.
    const namespace = metadata.namespace ?? 'default';
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`;
    const common = { subject: `Event in ${namespace}`, confidential: true, harmless: true };
    if (aggregate.name !== undefined) {
      const body = { count: aggregate.count, lastTimestamp: toTimestamp(aggregate.lastMs), message: aggregate.message };
      const answer = await this.#options.client.call({ verb: 'patch', path: `${path}/${aggregate.name}`, body, ...common });
      // Gone: the API server keeps Events for an hour; then it is written anew, with its count.
      if (answer.code !== 404) return this.#count(answer.code);
    }
    const name = `${metadata.name.slice(0, 220).replace(/[^a-z0-9]+$/, '')}.${toSuffix(aggregate.firstMs, this.#options.random)}`;
    const answer = await this.#options.client.call({ verb: 'create', path, body: toEvent(aggregate, namespace, name), ...common });
    aggregate.name = answer.code < 300 ? name : undefined;
    this.#count(answer.code);
  }

  #count(code: number): void {
    if (code >= 300) this.#dropped.inc();
  }
}

/** One object, one reason: one Event. */
function toKey({ regarding: { kind, metadata }, type, reason }: ClusterEvent): string {
  return [kind, metadata.namespace, metadata.name, metadata.uid, type, reason].join('\0');
}

/** core/v1 Event */
function toEvent(aggregate: Aggregate, namespace: string, name: string): unknown {
  const { event } = aggregate;
  const { apiVersion, kind, metadata } = event.regarding;
  const { uid, resourceVersion } = metadata;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace },
    involvedObject: { apiVersion, kind, name: metadata.name, namespace: fieldOf(metadata, 'namespace'), uid, resourceVersion },
    type: event.type,
    reason: event.reason,
    // The API server takes 1,024 bytes.
    message: aggregate.message.slice(0, 1_000),
    source: { component: 'keywright-operator' },
    reportingComponent: 'keywright-operator',
    reportingInstance: '',
    firstTimestamp: toTimestamp(aggregate.firstMs),
    lastTimestamp: toTimestamp(aggregate.lastMs),
    count: aggregate.count,
  };
}

function toSuffix(nowMs: number, random: () => number): string {
  return `${nowMs.toString(16)}${Math.floor(random() * 0xffffff)
    .toString(16)
    .padStart(6, '0')}`;
}

/** What an Event says of the object that it is about: thousands are remembered, and their specs and statuses would be with them. */
function toReference({ apiVersion, kind, metadata }: ClusterObject): ClusterObject {
  const { name, namespace, uid, resourceVersion } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  };
}
