import type { RedisConnection } from './redis-connection.ts';

/** Its key, where it has one, is the first word that begins with `kw:{`: all of ours do, and nothing before a key does. */
export type RedisCommand = readonly [name: string, ...parameters: string[]];

/** Every Redis of an installation as one: a single one, the master that Sentinels name, or the masters of a cluster. Connects by itself, now and after every loss. */
export interface RedisNodes {
  /** commands can be sent for every key */
  readonly ready: boolean;
  /** for some keys at least */
  readonly reachable: boolean;
  /** why not for every key, in a word or two that hold no secret */
  readonly reason: string;
  /** true: one of them throws keys away when it is full (`maxmemory-policy` is not `noeviction`); undefined: none has told yet, or may tell us */
  readonly evicts: boolean | undefined;
  readyFor(key: string): boolean;
  /** the replication id of the master that holds the key: another one means that acknowledged writes may be gone; '' while it is not known */
  epochOf(key: string): string;
  /** the node that holds the key; '' while it is not known */
  placeOf(key: string): string;
  /**
   * Each to the node of its key (one without a key to that of the first that has one), in one write for each node and in order for each key. Never rejects; what could not be sent, or what
   * Redis could not do at this moment, is rejected with an error named `RedisAway`.
   */
  send(commands: readonly RedisCommand[]): Promise<PromiseSettledResult<unknown>[]>;
  /** a connection of its own for channels, to any node */
  listen(name: string): RedisConnection;
  /** `onReady`: one of them is (again), or has become a master of another history */
  watch(listener: { onReady(): void; onLost(reason: string): void }): void;
  close(): void;
}

const keyPattern = 'kw:{';
/** Answers of a Redis that is sound and cannot do it now; of these, our own scripts are innocent. */
const transient = /^(?:MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|LOADING|MASTERDOWN|NOREPLICAS|OOM|BUSY|MISCONF) /;

/** Undefined: it has none. */
export function keyOf(command: RedisCommand): string | undefined {
  return command.find((word, position) => position > 0 && word.startsWith(keyPattern));
}

/** How a command ends that Redis could not do at this moment. */
export function toAway(reason: string): PromiseRejectedResult {
  return { status: 'rejected', reason: toAwayError(reason) };
}

/** What comes back from one command: an answer that says "not now" gets the name of what was not sent at all. */
export function toResult(error: unknown, value: unknown): PromiseSettledResult<unknown> {
  if (error === null || error === undefined) return { status: 'fulfilled', value };
  const isTransient = error instanceof Error && transient.test(error.message);
  return { status: 'rejected', reason: isTransient ? toAwayError(error.message) : error };
}

function toAwayError(message: string): Error {
  return Object.assign(new Error(message), { name: 'RedisAway' });
}
