/** What a proxy tells the others while it lives: that it does, and which part of the snapshot it has in force. */
export interface Heartbeat {
  /** unlike that of every other process, also of a former one of the same pod */
  readonly proxy: string;
  /** when it counts no more, by Redis' clock, milliseconds since 1970 */
  readonly untilMs: number;
  readonly epoch: number;
  /** of the shards of keys, by bucket; only their beginning */
  readonly revisions: readonly string[];
}

export const heartbeatEveryMs = 2_000;
/** A proxy that is silent for so long does not count any more: it is gone, or cut off from Redis and then nobody waits for it. */
export const heartbeatLastsMs = 6_000;

export const heartbeatChannel = 'kw:proxies';
/** proxy → until and content */
export const heartbeatsKey = 'kw:{00}:proxies';
/** proxies by the end of their time */
export const heartbeatEndsKey = 'kw:{00}:proxies:until';

/** Revisions are hashes; so much of one tells any two contents of a shard apart. */
const shownDigits = 8;

/** Which snapshot a process has in force: a part of the published one, or one of its own, for which no operator of others waits. */
export type InForce = Pick<Heartbeat, 'epoch' | 'revisions'> | 'own';

/** What stands in Redis of a process beside its deadline. */
export function toHeartbeatContent(inForce: InForce): string {
  if (inForce === 'own') return inForce;
  const { epoch, revisions } = inForce;
  return `${epoch} ${revisions.map((revision) => revision.slice(0, shownDigits)).join('.')}`;
}

const pattern = /^(\d{1,15}) (\d{1,15}) ([0-9a-f]{0,8}(?:\.[0-9a-f]{0,8}){0,4095})$/;

/** A heartbeat as it stands in Redis; undefined when it is none that could have been written, or of a process with a snapshot of its own. */
export function parseHeartbeat(proxy: string, text: string): Heartbeat | undefined {
  const [, until, epoch, revisions] = pattern.exec(text) ?? [];
  if (revisions === undefined || proxy === '') return undefined;
  return { proxy, untilMs: Number(until), epoch: Number(epoch), revisions: revisions.split('.') };
}

/** Where a key is published, with the revision in which it is. */
export interface ShardReference {
  readonly epoch: number;
  readonly bucket: number;
  readonly revision: string;
}

/** Whether the proxy has this revision of a bucket of keys in force. */
export function hasShard({ epoch, revisions }: Heartbeat, shard: ShardReference): boolean {
  return epoch === shard.epoch && shard.revision !== '' && revisions[shard.bucket] === shard.revision.slice(0, shownDigits);
}
