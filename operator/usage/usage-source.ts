import type { UsageEvent } from '../../core/usage-event.ts';

/** One entry of a Stream; without an event it is none that we can read. */
export interface UsageEntry {
  readonly id: string;
  readonly event: UsageEvent | undefined;
}

export interface TagEntries {
  readonly tag: string;
  /** in the order of the Stream */
  readonly entries: readonly UsageEntry[];
}

/** Where a new leader begins to read the Stream of one tag. `entries`: the last ones up to there that are still kept; a repetition of these may come. */
export interface UsagePlace extends TagEntries {
  /** everything up to here stood in checkpoints; `0-0`: nothing is known to */
  readonly acknowledged: string;
}

/** Who tells what requests used: the Streams in Redis, or the counters of this process. At least once, in order by tag. Of a Redis Cluster a part may be away: then the others are asked. */
export interface UsageSource {
  readonly connected: boolean;
  /** places of the tags that are not among these and of which anything is known; `isWhole`: those of all others are */
  open(known: ReadonlyMap<string, string>): Promise<{ readonly places: readonly UsagePlace[]; readonly isWhole: boolean }>;
  /** what comes after these ids (tag → id, default: from the beginning), a bounded number a tag; tags without news are left out */
  read(positions: ReadonlyMap<string, string>): Promise<readonly TagEntries[]>;
  /** tag → id: up to there everything stands in checkpoints. The same again lets go of what was kept for a while. Gives those for which that was noted */
  acknowledge(positions: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, string>>;
  /** the last entry of each tag that has any, to see whether a Stream was lost and has begun anew; `isWhole`: all tags could be asked */
  lastIds(): Promise<{ readonly ids: ReadonlyMap<string, string>; readonly isWhole: boolean }>;
  /** tags that could not be read at the last look */
  readonly unread: number;
  /** how often it was connected so far */
  readonly connections: number;
}
