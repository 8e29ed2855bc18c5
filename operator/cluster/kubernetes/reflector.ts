import type { Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import { isNewerVersion, liesBefore } from '../../../runtime/resource-version.ts';
import { toBackoffMs } from '../../queue/backoff.ts';
import { describeError } from '../../describe-error.ts';
import type { ClusterObject, ReflectedEvent, Reflector, ReflectOptions } from '../cluster.ts';
import { ClusterError } from '../cluster.ts';
import { ExpiredError, isExpired } from './answer.ts';
import { makeLineDecoder } from './line-decoder.ts';
import { ReflectedSet } from './reflected-set.ts';
import { sleep } from './sleep.ts';
import { parseWatchLine } from './watch-event.ts';
import type { WatchMetrics } from './watch-metrics.ts';

export interface Page<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly next: string | undefined;
}

/** The requests of a reflector; all throw ClusterError. */
export interface ReflectorSource<T extends ClusterObject> {
  /** the resource version of the server as of now */
  version(signal: AbortSignal): Promise<string>;
  list(next: string | undefined, signal: AbortSignal): Promise<Page<T>>;
  watch(options: { resourceVersion: string; timeoutSeconds: number; signal: AbortSignal }): Promise<AsyncIterable<Uint8Array>>;
}

export interface ReflectorOptions<T extends ClusterObject> {
  readonly source: ReflectorSource<T>;
  readonly reflect: ReflectOptions<T>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: WatchMetrics;
}

const backoff = { baseMs: 800, maximumMs: 30_000 };
/** The server sends a bookmark about every minute: after two of them nothing comes any more, whatever the socket says. */
const inactivityMs = 120_000;
/** A watch may lose an event without anybody noticing (a bug of a server or of ours); this bounds the damage. */
const relistMs = 30 * 60_000;
/** A watch that the server ends sooner and that told nothing counts as a failure, so that we do not come back in a tight loop. */
const shortestWatchMs = 1_000;

const failuresBeforeRelist = 3;
/** A server that says nothing to a second watch from the same version as well may live in a history that has not come so far yet (a restored store). */
const silencesBeforeRelist = 2;

/** LIST, then WATCH, for ever: whatever happens it comes back, until stopped. */
export function startReflector<T extends ClusterObject>(options: ReflectorOptions<T>): Reflector {
  return new RunningReflector(options);
}

class RunningReflector<T extends ClusterObject> implements Reflector {
  readonly #options: ReflectorOptions<T>;
  readonly #known = new ReflectedSet<T>();
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  /** from where to watch; undefined: list first */
  #resourceVersion: string | undefined;
  #relistAtMs = 0;
  #synced = false;
  #failures = 0;
  /** the watch has failed: when it goes on, the server may live in another history */
  #inDoubt = false;
  /** since the last watch that lived for a while: versions that had expired, watches that ended at once */
  #expiries = 0;
  #shortWatches = 0;
  /** watches in a row that were given up because they said nothing */
  #silences = 0;
  #lastByteMs: number;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#lastByteMs = options.clock.now();
    const unregister = options.metrics.register(options.reflect.kind, () => options.clock.now() - this.#lastByteMs);
    this.#ended = this.#run().finally(unregister);
  }

  keep(object: ClusterObject): void {
    this.#known.keep(object as T);
  }

  stop(): Promise<void> {
    this.#stopping.abort();
    return this.#ended;
  }

  async #run(): Promise<void> {
    // Never in the caller's stack: `reflect` must have returned before the first event.
    await Promise.resolve();
    while (!this.#stopped) {
      try {
        if (this.#inDoubt) await this.#checkHistory();
        if (this.#resourceVersion === undefined || this.#options.clock.now() >= this.#relistAtMs) await this.#list();
        if (!this.#stopped) await this.#watch(this.#resourceVersion ?? '');
      } catch (error) {
        await this.#recover(error);
      }
    }
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #recover(error: unknown): Promise<void> {
    if (this.#stopped) return;
    const { kind, namespace } = this.#options.reflect;
    this.#options.metrics.restarted(kind);
    const expired = isExpired(error);
    const attempt = this.#failures;
    this.#failures += 1;
    this.#inDoubt = true;
    // Also when watching from there has failed again and again: perhaps it is an event that we cannot read.
    if (expired || this.#failures >= failuresBeforeRelist) this.#resourceVersion = undefined;
    // An expired version is no trouble of the server; only when listing anew does not mend it there is something to wait for.
    if (expired && attempt === 0 && this.#expiries++ === 0) return;
    const askedMs = error instanceof ClusterError ? (error.retryAfterMs ?? 0) : 0;
    const waitMs = Math.max(askedMs, toBackoffMs({ attempt, ...backoff, random: this.#options.random }));
    this.#options.log.warn({ kind, namespace, waitMs, error: describeError(error) }, 'the watch of the API server is interrupted');
    await sleep(this.#options.clock, waitMs, this.#stopping.signal);
  }

  /**
   * A store that was restored from a backup counts from an older version again, and a watch from one that it has not reached is held silently. Connections break
   * with a restore, so the question is asked once for each failure; it costs a page of one object.
   */
  async #checkHistory(): Promise<void> {
    const known = this.#resourceVersion;
    if (known !== undefined && liesBefore(await this.#options.source.version(this.#stopping.signal), known))
      this.#resourceVersion = undefined;
    this.#inDoubt = false;
  }

  async #list(): Promise<void> {
    const seen = new Set<string>();
    let next: string | undefined;
    let resourceVersion = '';
    do {
      const page: Page<T> = await this.#options.source.list(next, this.#stopping.signal);
      if (this.#stopped) return;
      this.#lastByteMs = this.#options.clock.now();
      for (const object of page.items) {
        seen.add(this.#known.keyOf(object));
        this.#deliver(this.#known.listed(object));
      }
      next = page.next;
      resourceVersion = page.resourceVersion;
    } while (next !== undefined);
    // Watching from "any version" would never tell what was deleted in between.
    if (resourceVersion === '') throw new ClusterError('Unavailable', `the list of ${this.#options.reflect.kind} has no resource version`);
    for (const event of this.#known.retain(seen)) this.#deliver(event);
    this.#resourceVersion = resourceVersion;
    // Spread by a tenth, so that the reflectors of a process do not list all at once for ever.
    this.#relistAtMs = this.#options.clock.now() + relistMs * (0.9 + this.#options.random() * 0.2);
    if (this.#synced) return;
    this.#synced = true;
    this.#deliver({ type: 'Synced' });
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { clock } = this.#options;
    const session = new AbortController();
    const end = () => session.abort();
    const timers = this.#startTimers(end);
    this.#stopping.signal.addEventListener('abort', end, { once: true });
    const startedMs = clock.now();
    let told = true;
    try {
      told = await this.#follow(resourceVersion, session.signal, timers.restartInactivity);
    } catch (error) {
      // Ended by ourselves: then the stream fails too, and its error says nothing.
      if (isExpired(error) || !(timers.relistDue() || timers.inactive())) throw error;
    } finally {
      timers.cancel();
      this.#stopping.signal.removeEventListener('abort', end);
      if (clock.now() - startedMs >= shortestWatchMs) [this.#expiries, this.#shortWatches] = [0, 0];
    }
    if (timers.relistDue()) this.#resourceVersion = undefined;
    else if (timers.inactive()) this.#fallSilent();
    else this.#judgeLength(clock.now() - startedMs, told);
  }

  #fallSilent(): never {
    this.#silences += 1;
    if (this.#silences >= silencesBeforeRelist) this.#resourceVersion = undefined;
    throw new ClusterError('Unavailable', 'the watch was silent for too long');
  }

  /** The end of a watch is in order; but a server that ends each at once, even after an event, would have us come back in a tight loop. */
  #judgeLength(livedMs: number, told: boolean): void {
    if (livedMs >= shortestWatchMs) return;
    this.#shortWatches += 1;
    if (!told || this.#shortWatches > 1) throw new ClusterError('Unavailable', 'the server ended the watch at once');
  }

  /** @returns whether the watch told anything before it ended */
  async #follow(resourceVersion: string, signal: AbortSignal, onBytes: () => void): Promise<boolean> {
    // The server ends the watch by itself in 5–10 min, as client-go asks for, so that connections spread over its replicas again.
    const timeoutSeconds = Math.round(300 + this.#options.random() * 300);
    const bytes = await this.#options.source.watch({ resourceVersion, timeoutSeconds, signal });
    const decode = makeLineDecoder();
    let told = false;
    for await (const chunk of bytes) {
      if (signal.aborted) break;
      this.#lastByteMs = this.#options.clock.now();
      onBytes();
      for (const line of decode(chunk)) told = this.#take(line, resourceVersion) || told;
    }
    return told;
  }

  #startTimers(end: () => void) {
    const { clock } = this.#options;
    let inactive = false;
    let relistDue = false;
    const silence = () => {
      inactive = true;
      end();
    };
    let inactivity = clock.after(inactivityMs, silence);
    const relist = clock.after(Math.max(0, this.#relistAtMs - clock.now()), () => {
      relistDue = true;
      end();
    });
    return {
      inactive: () => inactive,
      relistDue: () => relistDue,
      restartInactivity: () => {
        inactivity.cancel();
        inactivity = clock.after(inactivityMs, silence);
      },
      cancel: () => {
        inactivity.cancel();
        relist.cancel();
      },
    };
  }

  /** @returns whether the line told something (which shows that the watch works) */
  #take(line: string, begin: string): boolean {
    if (this.#stopped) return false;
    const { kind } = this.#options.reflect;
    const event = parseWatchLine<T>(line, kind);
    this.#options.metrics.told(kind, event.type);
    if (event.type === 'ERROR') throw event.error;
    if (event.type === 'BOOKMARK' && liesBefore(event.resourceVersion, begin)) throw new ExpiredError();
    this.#failures = 0;
    this.#silences = 0;
    // A late event must not set us back: from there the server may not be able to go on.
    if (isNewerVersion(event.resourceVersion, this.#resourceVersion ?? '')) this.#resourceVersion = event.resourceVersion;
    if (event.type === 'DELETED') this.#deliver(this.#known.deleted(event.object));
    else if (event.type !== 'BOOKMARK') this.#deliver(this.#known.changed(event.object));
    return true;
  }

  #deliver(event: ReflectedEvent<T> | undefined): void {
    if (event === undefined || this.#stopped) return;
    try {
      this.#options.reflect.onEvent(event);
    } catch (error) {
      this.#options.log.error({ kind: this.#options.reflect.kind, error: describeError(error) }, 'a handler of a reflected event failed');
    }
  }
}
