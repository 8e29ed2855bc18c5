import { snapshotEntry } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { isNewerVersion, liesBefore } from '../../runtime/resource-version.ts';
import type { KubeConnection } from './kube-config.ts';
import type { CallFailure, SecretItem, WatchEvent } from './api-answers.ts';
import { type KubernetesApi, makeKubernetesApi } from './kubernetes-api.ts';
import type { SnapshotSink, SnapshotSource } from '../snapshot/snapshot-source.ts';
import { type WatchEnd, WatchHealth } from './watch-health.ts';

export interface KubernetesSourceOptions {
  readonly connection: KubeConnection;
  readonly namespace: string;
  readonly log: Log;
  readonly clock: Clock;
  /** 0 ≤ random() < 1 */
  readonly random: () => number;
}

const shortestWaitMs = 800;
const longestWaitMs = 30_000;
/** after a watch that was healthy */
const quickWaitMs = 200;
/** So many failed watches in a row: the version may be one that the server does not know (a restored etcd), so list again. */
const failuresBeforeRelist = 3;
const relistMs = 30 * 60_000;

/** The snapshot Secrets of one namespace by LIST and WATCH, for as long as it takes: no fault of the API server or the network ends it. */
export function makeKubernetesSource(options: KubernetesSourceOptions): SnapshotSource {
  const api = makeKubernetesApi(options);
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  return {
    start(sink) {
      running = new Follower({ ...options, api, sink, signal: stopping.signal }).run();
    },
    async stop() {
      stopping.abort();
      await running;
      await api.close();
    },
  };
}

interface FollowerOptions extends KubernetesSourceOptions {
  readonly api: KubernetesApi;
  readonly sink: SnapshotSink;
  readonly signal: AbortSignal;
}

/** Invariant: `#versions` holds what the sink was last told of each Secret, so that a repeated or old event tells it nothing. */
class Follower {
  readonly #options: FollowerOptions;
  readonly #versions = new Map<string, string>();
  #failures = 0;
  readonly #health = new WatchHealth();
  #connected: boolean | undefined;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      const resourceVersion = await this.#list();
      if (resourceVersion !== undefined) await this.#follow(resourceVersion);
    }
  }

  /** The version to watch from; undefined after a failure and its wait. */
  async #list(): Promise<string | undefined> {
    const { api, signal } = this.#options;
    const listed = new Set<string>();
    let continueToken: string | undefined;
    for (;;) {
      const page = await api.list({ continueToken, signal });
      if (signal.aborted) return undefined;
      if (!page.ok) {
        await this.#fail(page.failure, 'list', false);
        return undefined;
      }
      for (const item of page.items) {
        listed.add(item.name);
        if (this.#versions.get(item.name) !== item.resourceVersion) this.#apply(item);
      }
      ({ continueToken } = page);
      if (continueToken !== undefined) continue;
      for (const name of [...this.#versions.keys()].filter((known) => !listed.has(known))) this.#remove(name);
      this.#tell((sink) => sink.synced());
      return page.resourceVersion;
    }
  }

  /** Watches, one after another, until it is time to list again. */
  async #follow(listedVersion: string): Promise<void> {
    const { clock, random, signal } = this.#options;
    const relist = new AbortController();
    // spread, so that proxies that started together do not list together
    const timer = clock.after(relistMs * (0.9 + 0.2 * random()), () => relist.abort());
    const either = AbortSignal.any([relist.signal, signal]);
    let resourceVersion = listedVersion;
    while (!either.aborted) {
      const started = clock.now();
      const before = resourceVersion;
      const failure = await this.#watch(resourceVersion, either, (event) => {
        const version = this.#take(event);
        // a late event must not set us back: from there the server may not be able to go on
        if (isNewerVersion(version, resourceVersion)) resourceVersion = version;
      });
      if (either.aborted) break;
      if ((await this.#judge({ failure, told: resourceVersion !== before, livedMs: clock.now() - started })) === 'list') break;
      if (failure !== undefined && (await this.#isSetBack(resourceVersion))) break;
    }
    timer.cancel();
  }

  /**
   * A store that was restored from a backup counts from an older version again, and a watch from one that it has not reached is held silently. Connections break with
   * a restore, so the question is asked once for each failure; it costs a page of one Secret.
   */
  async #isSetBack(resourceVersion: string): Promise<boolean> {
    const { api, signal } = this.#options;
    const page = await api.list({ continueToken: undefined, limit: 1, signal });
    return page.ok && liesBefore(page.resourceVersion, resourceVersion);
  }

  /** What to do when a watch is over, after the wait that is due. */
  async #judge(end: WatchEnd): Promise<'watch' | 'list'> {
    const { failure } = end;
    const gone = failure?.reason === 'gone';
    const healthy = this.#health.count(end);
    if (healthy) this.#failures = 0;
    if (failure === undefined && healthy) return 'watch';
    if (gone && this.#failures === 0 && !this.#health.repeats) {
      // list at once; a server that says so again and again is given time
      this.#failures += 1;
      return 'list';
    }
    await this.#fail(failure ?? { reason: 'failed', message: 'the watch ended as soon as it began' }, 'watch', healthy);
    return gone || this.#health.staysSilent || this.#failures >= failuresBeforeRelist ? 'list' : 'watch';
  }

  async #watch(resourceVersion: string, signal: AbortSignal, onEvent: (event: WatchEvent) => void): Promise<CallFailure | undefined> {
    const { api, random } = this.#options;
    // between 4 and 6 minutes, so that not all proxies come back in the same second
    const timeoutSeconds = 240 + Math.floor(random() * 121);
    return api.watch({ resourceVersion, timeoutSeconds, signal, onEvent, onOpen: () => this.#connect(true) });
  }

  /** Takes one event; gives the version to go on from. */
  #take(event: WatchEvent): string {
    if (event.type === 'Bookmark') return event.resourceVersion;
    const { name, resourceVersion } = event.item;
    const known = this.#versions.get(name);
    const isOld = known !== undefined && !isNewerVersion(resourceVersion, known);
    if (event.type === 'Applied' && !isOld) this.#apply(event.item);
    if (event.type === 'Deleted' && known !== undefined && (!isOld || resourceVersion === known)) this.#remove(name);
    return resourceVersion;
  }

  #apply({ name, resourceVersion, data }: SecretItem): void {
    this.#versions.set(name, resourceVersion);
    const entry = data[snapshotEntry];
    // one without the entry is told as well: the index refuses it and keeps the last good one
    this.#tell((sink) => sink.document(name, Buffer.from(typeof entry === 'string' ? entry : '', 'base64')));
  }

  #remove(name: string): void {
    this.#versions.delete(name);
    this.#tell((sink) => sink.removed(name));
  }

  #connect(value: boolean): void {
    if (this.#connected === value) return;
    this.#connected = value;
    if (value) this.#options.log.info({ event: 'snapshot_watch_connected' }, 'watching the snapshot');
    this.#tell((sink) => sink.connected(value));
  }

  /** `quick`: the watch was healthy until now. */
  async #fail(failure: CallFailure, verb: 'list' | 'watch', quick: boolean): Promise<void> {
    const { log, clock, signal } = this.#options;
    this.#failures += 1;
    this.#connect(false);
    const waitMs = Math.max(failure.retryAfterMs ?? 0, this.#backOffMs(quick));
    // an API server that is away for a week should not fill the log
    const level = this.#failures === 1 || this.#failures % 10 === 0 ? 'warn' : 'debug';
    log[level](
      { event: 'snapshot_source_failed', verb, failures: this.#failures, waitMs: Math.round(waitMs), reason: failure.message },
      'cannot follow the snapshot',
    );
    await new Promise<void>((resolve) => {
      const timer = clock.after(waitMs, done);
      signal.addEventListener('abort', done, { once: true });
      function done(): void {
        timer.cancel();
        signal.removeEventListener('abort', done);
        resolve();
      }
    });
  }

  #backOffMs(quick: boolean): number {
    const { random } = this.#options;
    if (quick) return random() * quickWaitMs;
    const mostMs = Math.min(longestWaitMs, shortestWaitMs * 2 ** Math.min(this.#failures, 10));
    return shortestWaitMs + random() * (mostMs - shortestWaitMs);
  }

  /** A sink that throws is a bug of ours; it must not end the watch as well. */
  #tell(tell: (sink: SnapshotSink) => void): void {
    try {
      tell(this.#options.sink);
    } catch (error) {
      this.#options.log.error({ event: 'snapshot_sink_failed', err: error }, 'a snapshot event could not be taken');
    }
  }
}
