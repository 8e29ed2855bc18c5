import { hashTags } from '../../../core/hash-tag.ts';
import type { Log } from '../../../runtime/log.ts';
import type { Breaker } from './breaker.ts';
import type { FailurePolicy } from '../outage/fallback.ts';
import { makeNodePresence, type NodePresence } from './node-presence.ts';
import type { ScriptStore } from '../scripts/script-store.ts';

/** The masters of the store, each by itself: one that is away or silent concerns the keys on it alone (docs/decisions/0029-a-breaker-for-each-master.md). */
export interface StoreNodes {
  /** the master of this tag decides; otherwise the failure policy does */
  decides(tag: string): boolean;
  /** it is connected and not known to be silent: it can be told things */
  answers(tag: string): boolean;
  breakerOf(tag: string): Pick<Breaker, 'open' | 'success' | 'failure'>;
  /** some keys, or all, are decided by the failure policy */
  readonly degraded: boolean;
  /** by name, whether it decides; `all` where there is only one */
  states(): ReadonlyMap<string, boolean>;
  /** something has changed; `reason`: for the log, why one might be away */
  review(reason: string): void;
  /** one of them may be another than before, without an outage between */
  tellIfThere(): void;
  /** what was decided here without an outage of all: after a late answer, or while one of them was away */
  tellSoon(): void;
  /** resolves when all of them are there for the first time, or after `withinMs`, whichever is first */
  ready(withinMs: number): Promise<void>;
  stop(): void;
}

interface Options {
  readonly store: Pick<ScriptStore, 'readyFor' | 'placeOf' | 'probe'>;
  /** tells those that answer what was decided without them; resolves when those that hold these tags know, or after a second */
  readonly tell: (isMeant: (tag: string) => boolean) => Promise<void>;
  /** is there anything to tell? */
  readonly waiting: () => boolean;
  /** some keys are not decided by the master that they had */
  readonly onAway: () => void;
  readonly onProbe: () => void;
  readonly policy: FailurePolicy;
  /** host and port, for the log */
  readonly where: string;
  readonly log: Log;
  readonly deadlineMs: number;
  readonly monotonicNow: () => number;
}

const tellAfterMs = 50;
/** Where Redis is one, its store has this name for every key. */
const theOnlyOne = 'all';

export function makeStoreNodes({
  store,
  tell,
  waiting,
  onAway,
  onProbe,
  policy,
  where,
  log,
  deadlineMs,
  monotonicNow,
}: Options): StoreNodes {
  const nodes = new Map<string, NodePresence>();
  /** a tag of each */
  let tags: ReadonlyMap<string, string> = new Map();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const firstReady = Promise.withResolvers<void>();

  const note = (place: string, decides: boolean, reason: string): void => {
    const named = { redis: where, ...(place !== '' && place !== theOnlyOne && { node: place }) };
    if (decides) {
      log.info({ event: 'limiter_shared', ...named }, 'limits are shared through Redis');
      if (!isDegraded()) firstReady.resolve();
      tellSoon();
    } else {
      log.warn({ event: 'limiter_degraded', ...named, reason, policy }, 'Redis is away: limits are degraded');
      onAway();
    }
  };
  const add = (place: string): NodePresence => {
    const node = makeNodePresence({
      isConnected: () => store.readyFor(tags.get(place) ?? ''),
      async probe() {
        onProbe();
        await store.probe(tags.get(place) ?? '');
      },
      tell: () => tell((tag) => store.placeOf(tag) === place),
      onChange: (decides, reason) => note(place, decides, reason),
      deadlineMs,
      monotonicNow,
    });
    nodes.set(place, node);
    return node;
  };
  const review = (reason: string): void => {
    if (stopped) return;
    tags = new Map(hashTags.map((tag) => [store.placeOf(tag), tag]));
    for (const [place, node] of nodes) {
      if (tags.has(place)) continue;
      node.stop();
      nodes.delete(place);
    }
    const added = [...tags.keys()].filter((place) => !nodes.has(place));
    for (const place of added) add(place);
    // its keys were another's, which may have booked in advance what this one does not know
    if (added.length > 0) onAway();
    for (const node of nodes.values()) node.review(reason);
  };
  /** A master that has just got its first keys is in no review yet. */
  const nodeOf = (tag: string): NodePresence => {
    const place = store.placeOf(tag);
    const known = nodes.get(place);
    if (known !== undefined) return known;
    review('not connected yet');
    return nodes.get(place) ?? add(place);
  };
  const isDegraded = (): boolean => nodes.size === 0 || [...nodes.values()].some(({ decides }) => !decides);
  const tellIfThere = (): void => {
    if ([...nodes.values()].some(({ decides }) => decides)) void tell(() => true);
  };
  const tellSoon = (): void => {
    if (timer !== undefined || stopped || !waiting()) return;
    timer = setTimeout(() => {
      timer = undefined;
      tellIfThere();
    }, tellAfterMs);
  };
  return {
    decides: (tag) => nodeOf(tag).decides,
    answers: (tag) => nodeOf(tag).answers,
    breakerOf: (tag) => nodeOf(tag).breaker,
    get degraded() {
      return isDegraded();
    },
    states: () => new Map([...nodes].map(([place, { decides }]) => [place === '' ? 'unknown' : place, decides])),
    review,
    tellIfThere,
    tellSoon,
    async ready(withinMs) {
      let late: NodeJS.Timeout | undefined;
      const tooLate = new Promise<void>((resolve) => {
        late = setTimeout(resolve, withinMs);
      });
      await Promise.race([firstReady.promise, tooLate]);
      clearTimeout(late);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      for (const node of nodes.values()) node.stop();
    },
  };
}
