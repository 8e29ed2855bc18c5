import type { Registry } from 'prom-client';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Cluster, Reflector, WriteOutcome } from '../cluster/cluster.ts';
import { describeError } from '../describe-error.ts';
import { gaugeOf } from '../metric.ts';
import { isFree, type LeaseObject, toFirstLease, toFreedLease, toRenewedLease, toTakenLease } from './lease-object.ts';

export interface LeaderElectionOptions {
  readonly cluster: Pick<Cluster, 'get' | 'create' | 'replace' | 'reflect'>;
  readonly namespace: string;
  readonly name: string;
  /** unlike that of every other process, also of a former one of the same pod */
  readonly identity: string;
  readonly clock: Clock;
  /** milliseconds of a clock that nobody sets; default `performance.now` */
  readonly monotonicMs?: () => number;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
  /**
   * Leads until the signal is aborted, and must then stop writing at once. The promise that it gives is waited for before the lease is given back
   * or taken again; when it rejects, leadership is given up.
   */
  readonly onElected: (signal: AbortSignal) => Promise<void> | void;
  readonly onLost: () => void;
  /** asked before the lease is taken; default: always */
  readonly mayLead?: () => boolean;
  /** how long a lease stands without renewal */
  readonly durationMs?: number;
  /** a leader that could not renew for so long stops */
  readonly renewDeadlineMs?: number;
  readonly retryMs?: number;
}

export interface LeaderElection {
  /** to be asked before a write: false as soon as the renew deadline has passed, even if no timer could fire yet (a process that was stopped) */
  leads(): boolean;
  /** stops leading, waits for the leader's work, gives the lease back */
  stop(): Promise<void>;
}

/**
 * Leader election on a Lease. Others' time stamps are never compared with our clock: a lease has run out when it has not changed for its duration
 * by our own monotonic clock. The leader counts from before its last successful renewal was sent, and stops 20 s before anybody else may begin.
 */
export function runLeaderElection(options: LeaderElectionOptions): LeaderElection {
  return new Election(options);
}

const defaults = {
  durationMs: 60_000,
  renewDeadlineMs: 40_000,
  retryMs: 15_000,
  monotonicMs: () => performance.now(),
  mayLead: () => true,
};
/** between tries to renew when the last one failed */
const hurryMs = 2_000;
/** a leader's work that has not ended by then keeps the lease, which then runs out */
const handOverMs = 10_000;

interface Term {
  readonly ending: AbortController;
  readonly work: Promise<void>;
  deadlineMs: number;
  deadline: Timer;
}

class Election implements LeaderElection {
  readonly #options: LeaderElectionOptions & typeof defaults;
  readonly #gauge;
  readonly #watch: Reflector;
  readonly #ended: Promise<void>;
  #term: Term | undefined;
  #observed: { version: string; atMs: number } | undefined;
  /** the lease as we last read or wrote it */
  #lease: LeaseObject | undefined;
  #wake: (() => void) | undefined;
  /** something happened while the loop was not asleep */
  #woken = false;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  readonly #stop = new AbortController();

  constructor(options: LeaderElectionOptions) {
    this.#options = { ...defaults, ...options };
    this.#gauge = gaugeOf(options.metrics.registry, 'keywright_leader', '1 while this process leads');
    this.#gauge.set(0);
    // Only to wake a standby at once when the lease is free: what counts is what `get` and `replace` say.
    this.#watch = options.cluster.reflect<LeaseObject>({
      kind: 'Lease',
      namespace: options.namespace,
      fieldSelector: `metadata.name=${options.name}`,
      onEvent: (event) => {
        const free = event.type === 'Deleted' || (event.type === 'Applied' && isFree(event.object));
        if (free && this.#term === undefined) this.#wakeUp();
      },
    });
    this.#ended = this.#run();
  }

  leads(): boolean {
    return this.#term !== undefined && !this.#term.ending.signal.aborted && this.#options.monotonicMs() < this.#term.deadlineMs;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#term?.ending.abort();
    this.#wakeUp();
    await this.#watch.stop();
    await this.#ended;
  }

  get #stopping(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const waitMs = await this.#step().catch((error: unknown) => {
        this.#options.log.warn({ error: describeError(error) }, 'the leader lease cannot be reached');
        return hurryMs;
      });
      if (this.#term?.ending.signal.aborted === true) await this.#endTerm();
      else if (!this.#stopping) await this.#sleep(waitMs);
    }
    await this.#endTerm();
  }

  /** @returns how long to wait before the next */
  async #step(): Promise<number> {
    return this.#term === undefined ? this.#tryToAcquire() : this.#renew(this.#term);
  }

  async #tryToAcquire(): Promise<number> {
    const { cluster, namespace, name, identity, monotonicMs, retryMs } = this.#options;
    const barredMs = this.#notBeforeMs - monotonicMs();
    if (barredMs > 0) return barredMs;
    if (!this.#options.mayLead()) return hurryMs;
    const lease = await cluster.get<LeaseObject>({ kind: 'Lease', namespace, name });
    const waitMs = this.#observe(lease);
    if (waitMs > 0 && lease?.spec?.holderIdentity !== identity) return Math.min(waitMs, retryMs * (0.8 + this.#options.random() * 0.4));
    if (this.#stopping) return 0;
    const sentMs = monotonicMs();
    const nowMs = this.#options.clock.now();
    const outcome = await (lease === undefined
      ? cluster.create(toFirstLease(this.#options, nowMs))
      : cluster.replace(toTakenLease(lease, this.#options, nowMs)));
    if (outcome.outcome !== 'written') return hurryMs * this.#options.random();
    this.#lease = outcome.object;
    if (!this.#stopping) this.#beginTerm(sentMs);
    else await this.#release();
    return retryMs;
  }

  /** @returns how long the lease still stands, by our clock; 0: it is free */
  #observe(lease: LeaseObject | undefined): number {
    if (lease === undefined || isFree(lease)) return 0;
    const nowMs = this.#options.monotonicMs();
    const version = `${lease.metadata.uid}/${lease.metadata.resourceVersion}`;
    if (this.#observed?.version !== version) this.#observed = { version, atMs: nowMs };
    // A holder with other settings may count on more time than we would give it.
    const durationMs = Math.max(this.#options.durationMs, (lease.spec?.leaseDurationSeconds ?? 0) * 1000);
    return Math.max(0, this.#observed.atMs + durationMs - nowMs);
  }

  async #renew(term: Term): Promise<number> {
    const { cluster, clock, monotonicMs, retryMs, namespace, name, identity } = this.#options;
    const sentMs = monotonicMs();
    const held = this.#lease;
    if (held === undefined) throw new TypeError('a leader has a lease');
    const outcome: WriteOutcome<LeaseObject> = await cluster.replace(toRenewedLease(held, clock.now()));
    if (outcome.outcome === 'written') {
      this.#lease = outcome.object;
      this.#extend(term, sentMs);
      return retryMs;
    }
    // Perhaps our own renewal of before, whose answer was lost; or an edit by hand that leaves us the holder.
    const lease = await cluster.get<LeaseObject>({ kind: 'Lease', namespace, name });
    if (lease?.spec?.holderIdentity === identity) {
      this.#lease = lease;
      return 0;
    }
    this.#options.log.warn('somebody else has taken the leader lease');
    term.ending.abort();
    return 0;
  }

  #beginTerm(sentMs: number): void {
    const { log, onElected, identity, monotonicMs, retryMs } = this.#options;
    const ending = new AbortController();
    log.info({ identity }, 'elected leader');
    this.#gauge.set(1);
    const work = Promise.resolve()
      .then(() => onElected(ending.signal))
      .catch((error: unknown) => {
        log.error({ error: describeError(error) }, 'the work of the leader failed: leadership is given up');
        // Others first: what fails here may work there.
        this.#notBeforeMs = monotonicMs() + retryMs;
        ending.abort();
        this.#wakeUp();
      });
    this.#term = { ending, work, deadlineMs: 0, deadline: { cancel: () => undefined } };
    this.#extend(this.#term, sentMs);
  }

  #extend(term: Term, sentMs: number): void {
    const { clock, monotonicMs, renewDeadlineMs, log } = this.#options;
    term.deadline.cancel();
    term.deadlineMs = sentMs + renewDeadlineMs;
    term.deadline = clock.after(term.deadlineMs - monotonicMs(), () => {
      if (term.ending.signal.aborted) return;
      log.warn('the leader lease could not be renewed in time');
      term.ending.abort();
      this.#wakeUp();
    });
  }

  async #endTerm(): Promise<void> {
    const term = this.#term;
    if (term === undefined) return;
    term.ending.abort();
    term.deadline.cancel();
    this.#gauge.set(0);
    this.#options.onLost();
    const ended = await this.#workEnds(term);
    this.#term = undefined;
    if (ended) await this.#release();
    this.#lease = undefined;
  }

  /** When leading is to begin anew, its end is waited for however long it takes: two terms at once would be two leaders. */
  async #workEnds(term: Term): Promise<boolean> {
    let timer: Timer | undefined;
    let giveUp = (): void => undefined;
    const late = new Promise<false>((resolve) => {
      giveUp = () => {
        timer = this.#options.clock.after(handOverMs, () => resolve(false));
      };
    });
    if (this.#stopping) giveUp();
    else this.#stop.signal.addEventListener('abort', giveUp, { once: true });
    const ended = await Promise.race([term.work.then(() => true), late]);
    this.#stop.signal.removeEventListener('abort', giveUp);
    timer?.cancel();
    return ended;
  }

  /** Only what is still ours: the resource version sees to that. */
  async #release(): Promise<void> {
    const { cluster, clock, identity, log } = this.#options;
    const lease = this.#lease;
    if (lease?.spec?.holderIdentity !== identity) return;
    try {
      await cluster.replace<LeaseObject>(toFreedLease(lease, clock.now()));
    } catch (error) {
      log.warn({ error: describeError(error) }, 'the leader lease could not be given back');
    }
  }

  async #sleep(ms: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const timer = this.#options.clock.after(ms, resolve);
        this.#wake = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    this.#wake = undefined;
    this.#woken = false;
  }

  #wakeUp(): void {
    this.#woken = true;
    this.#wake?.();
  }
}
