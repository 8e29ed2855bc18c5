import type { Registry } from 'prom-client';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { toBackoffMs } from './backoff.ts';
import { ClusterError } from '../cluster/cluster.ts';
import { FairLine } from './fair-line.ts';
import { counterOf, gaugeOf, histogramOf } from '../metric.ts';

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** how many keys are worked on at once, at least 1 */
  readonly concurrency: number;
  /** how many more may be worked on when they are urgent, so that they wait for nobody; default none */
  readonly urgentConcurrency?: number;
  readonly work: (key: string) => Promise<void>;
  /** so many of the workers are never all of one group; default none */
  readonly keptForOthers?: number;
  /** groups take turns; default: all keys are of one */
  readonly groupOf?: (key: string) => string;
  /** a failed run; the key is retried by itself */
  readonly onError?: (key: string, error: unknown) => void;
  /** label of the metrics */
  readonly name?: string;
  readonly metrics?: { readonly registry: Registry };
}

export interface WorkQueue {
  /** now, or after the run that is under way; urgent: before all that are not */
  add(key: string, options?: { readonly urgent?: boolean }): void;
  /** not before; of several the earliest time stands */
  addAfter(key: string, delayMs: number): void;
  /** takes nothing more and resolves when the last running work has ended */
  stop(): Promise<void>;
  /** keys that wait for a worker */
  readonly depth: number;
}

interface Delayed {
  readonly atMs: number;
  readonly timer: Timer;
}

const backoff = { baseMs: 200, maximumMs: 60_000 };

/**
 * A de-duplicated queue of keys: a key is worked on by one worker at a time, a key that is added while it runs runs once more after it,
 * and a key whose work throws comes back with exponential back-off (0.2–60 s, jitter), forgotten at the first success.
 */
export function makeWorkQueue(options: WorkQueueOptions): WorkQueue {
  return new KeyedQueue(options);
}

class KeyedQueue implements WorkQueue {
  readonly #options: WorkQueueOptions & { readonly groupOf: (key: string) => string };
  readonly #metrics: ReturnType<typeof makeQueueMetrics>;
  /** key → since when */
  readonly #waiting: FairLine<number>;
  readonly #urgent: FairLine<number>;
  /** key → whether it was added again while running */
  readonly #running = new Map<string, 'once' | 'again' | 'urgently again'>();
  readonly #runningOfGroup = new Map<string, number>();
  readonly #delayed = new Map<string, Delayed>();
  readonly #failures = new Map<string, number>();
  #stopped = false;
  #onIdle: (() => void)[] = [];

  constructor(options: WorkQueueOptions) {
    const { groupOf = () => '' } = options;
    this.#options = { ...options, groupOf };
    this.#waiting = new FairLine(groupOf);
    this.#urgent = new FairLine(groupOf);
    this.#metrics = makeQueueMetrics(options);
  }

  get depth(): number {
    return this.#waiting.size + this.#urgent.size;
  }

  add(key: string, { urgent = false }: { readonly urgent?: boolean } = {}): void {
    if (this.#stopped) return;
    const running = this.#running.get(key);
    if (running !== undefined) {
      this.#running.set(key, urgent || running === 'urgently again' ? 'urgently again' : 'again');
      return;
    }
    if (!this.#wait(key, urgent)) return;
    this.#metrics?.added(this.depth);
    // Never in the caller's stack: keys that are added in one go are all known before the first is worked on.
    queueMicrotask(() => this.#startWorkers());
  }

  addAfter(key: string, delayMs: number): void {
    if (this.#stopped) return;
    if (!(delayMs > 0)) {
      this.add(key);
      return;
    }
    const atMs = this.#options.clock.now() + delayMs;
    const known = this.#delayed.get(key);
    if (known !== undefined && known.atMs <= atMs) return;
    known?.timer.cancel();
    this.#delayed.set(key, { atMs, timer: this.#options.clock.after(delayMs, () => this.#due(key)) });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    this.#waiting.clear();
    this.#urgent.clear();
    this.#metrics?.depth(0);
    if (this.#running.size === 0) return;
    await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  /** @returns whether it did not wait already */
  #wait(key: string, urgent: boolean): boolean {
    if (this.#urgent.has(key) || (!urgent && this.#waiting.has(key))) return false;
    const sinceMs = urgent ? this.#waiting.remove(key) : undefined;
    (urgent ? this.#urgent : this.#waiting).add(key, sinceMs ?? this.#options.clock.now());
    return sinceMs === undefined;
  }

  #due(key: string): void {
    this.#delayed.delete(key);
    this.add(key);
  }

  #startWorkers(): void {
    const { concurrency, urgentConcurrency = 0 } = this.#options;
    while (!this.#stopped) {
      const next = this.#take(this.#urgent, concurrency + urgentConcurrency) ?? this.#take(this.#waiting, concurrency);
      if (next === undefined) return;
      const [key, sinceMs] = next;
      this.#running.set(key, 'once');
      this.#count(key, 1);
      this.#metrics?.started(this.depth, this.#options.clock.now() - sinceMs);
      void this.#run(key);
    }
  }

  #take(line: FairLine<number>, workers: number): readonly [key: string, sinceMs: number] | undefined {
    if (this.#running.size >= workers) return undefined;
    const mostOfGroup = Math.max(1, workers - (this.#options.keptForOthers ?? 0));
    return line.take((group) => (this.#runningOfGroup.get(group) ?? 0) < mostOfGroup);
  }

  #count(key: string, change: 1 | -1): void {
    const group = this.#options.groupOf(key);
    const count = (this.#runningOfGroup.get(group) ?? 0) + change;
    if (count > 0) this.#runningOfGroup.set(group, count);
    else this.#runningOfGroup.delete(group);
  }

  async #run(key: string): Promise<void> {
    const startedMs = this.#options.clock.now();
    try {
      await this.#options.work(key);
      this.#failures.delete(key);
    } catch (error) {
      this.#failed(key, error);
    }
    this.#metrics?.ended(this.#options.clock.now() - startedMs);
    const again = this.#running.get(key);
    this.#running.delete(key);
    this.#count(key, -1);
    if (again !== 'once') this.add(key, { urgent: again === 'urgently again' });
    this.#startWorkers();
    if (this.#running.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #failed(key: string, error: unknown): void {
    const attempt = this.#failures.get(key) ?? 0;
    this.#failures.set(key, attempt + 1);
    this.#metrics?.retried();
    const waitMs = toBackoffMs({ attempt, ...backoff, random: this.#options.random });
    // A throttling server names its time; coming earlier only lengthens it.
    const askedMs = error instanceof ClusterError ? (error.retryAfterMs ?? 0) : 0;
    this.addAfter(key, Math.max(waitMs, askedMs));
    try {
      this.#options.onError?.(key, error);
    } catch {
      // A reporter that fails must not stop the queue, and there is nobody left to tell.
    }
  }
}

function makeQueueMetrics(options: WorkQueueOptions) {
  if (options.metrics === undefined) return undefined;
  const { registry } = options.metrics;
  const labels = { name: options.name ?? 'work' };
  const depth = gaugeOf(registry, 'keywright_workqueue_depth', 'Keys that wait for a worker', ['name']);
  const adds = counterOf(registry, 'keywright_workqueue_adds_total', 'Keys added to the queue', ['name']);
  const retries = counterOf(registry, 'keywright_workqueue_retries_total', 'Failed runs that are tried again', ['name']);
  const waits = histogramOf(registry, 'keywright_workqueue_queue_duration_seconds', 'How long keys waited for a worker', ['name']);
  const works = histogramOf(registry, 'keywright_workqueue_work_duration_seconds', 'How long a run took', ['name']);
  return {
    depth: (size: number) => depth.set(labels, size),
    added: (size: number) => {
      adds.inc(labels);
      depth.set(labels, size);
    },
    started: (size: number, waitedMs: number) => {
      depth.set(labels, size);
      waits.observe(labels, waitedMs / 1000);
    },
    ended: (tookMs: number) => works.observe(labels, tookMs / 1000),
    retried: () => retries.inc(labels),
  };
}
