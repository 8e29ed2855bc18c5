import type { Gauge, Registry } from 'prom-client';
import type { Channel, VirtualKey } from '../core/resources.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Cluster, ClusterObject, Reference } from './cluster/cluster.ts';
import { describeError } from './describe-error.ts';
import { gaugeOf } from './metric.ts';
import type { Pace } from './queue/pace.ts';
import { makePace } from './queue/pace.ts';
import type { Watches } from './watches.ts';
import type { WorkQueue } from './queue/work-queue.ts';
import { makeWorkQueue } from './queue/work-queue.ts';

export interface AbsencesOptions {
  readonly cluster: Pick<Cluster, 'get'>;
  readonly watches: Pick<Watches, 'gone' | 'holds' | 'found'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: { readonly registry: Registry };
  /** the answer is there: the object has to be looked at again */
  readonly onAnswer: (item: string) => void;
  readonly log: Log;
}

/** A list that lost 10,000 objects asks for as many: an API server in trouble must not get them all at once. */
const askedAtOnce = 2;
const pace = { burst: 50, perSecond: 50 } as const;

/**
 * Objects that a list lacked although no watch has told of their end. Lists lie (a cache that is being filled, a restored store, a proxy in between), so each of these is asked
 * for by name, a few at a time and beside the reconcilers' workers. Only the answer that there is no such object counts as its end; no answer is none.
 */
export class Absences {
  readonly #options: AbsencesOptions;
  readonly #pace: Pace;
  readonly #queue: WorkQueue;
  readonly #open = new Set<string>();
  readonly #meter: Gauge;
  #stopped = false;

  constructor(options: AbsencesOptions) {
    this.#options = options;
    const { clock, random, metrics, log } = options;
    this.#pace = makePace({ clock, ...pace });
    const work = (item: string): Promise<void> => this.#work(item);
    const onError = (item: string, error: unknown): void =>
      log.warn({ item, error: describeError(error) }, 'an object that a list lacked could not be asked for');
    this.#queue = makeWorkQueue({ clock, random, concurrency: askedAtOnce, name: 'absent', metrics, work, onError });
    this.#meter = gaugeOf(
      metrics.registry,
      'keywright_absent_objects',
      'Objects that a list lacked, of which is not known yet whether they were deleted; they stay in force',
    );
    this.#meter.set(0);
  }

  /** Of how many keys nobody knows yet whether they are gone. */
  get keys(): number {
    let count = 0;
    for (const item of this.#open) if (item.startsWith('VirtualKey/')) count += 1;
    return count;
  }

  /** Is the end of this object (`Kind/namespace/name`), which no watch holds, certain? If not, it is asked for, and `onAnswer` comes. */
  isGone(item: string): boolean {
    const isGone = this.#options.watches.gone.has(item);
    if (isGone) this.#close(item);
    else if (!this.#open.has(item)) {
      this.#open.add(item);
      this.#meter.set(this.#open.size);
      this.#queue.add(item);
    }
    return isGone;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#pace.end();
    await this.#queue.stop();
    this.#meter.set(0);
  }

  async #work(item: string): Promise<void> {
    const { watches, cluster, onAnswer } = this.#options;
    const isAnswered = (): boolean => this.#stopped || watches.gone.has(item) || watches.holds(item);
    if (!isAnswered()) {
      await this.#pace.turn();
      const found = isAnswered() ? undefined : await cluster.get<VirtualKey | Channel | ClusterObject>(toReference(item));
      // What a watch has told meanwhile is newer than this answer.
      if (!isAnswered()) {
        if (found === undefined) watches.gone.add(item);
        else watches.found(found);
      }
    }
    this.#close(item);
    onAnswer(item);
  }

  #close(item: string): void {
    this.#open.delete(item);
    this.#meter.set(this.#open.size);
  }
}

function toReference(item: string): Reference {
  const [kind, namespace = '', name = ''] = item.split('/');
  if (kind === 'Namespace') return { kind, name };
  return { kind: kind === 'Channel' ? 'Channel' : 'VirtualKey', namespace, name };
}
