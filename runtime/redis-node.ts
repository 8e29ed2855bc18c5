import { type RedisCommand, toAway, toResult } from './redis-command.ts';
import { toRedisReason, type RedisConnection } from './redis-connection.ts';

/** One connection to one Redis that takes writes. */
export interface RedisNode {
  readonly ready: boolean;
  readonly reason: string;
  /** replication id of the master; '' while it is not known, or where the user may not ask */
  readonly epoch: string;
  readonly evicts: boolean | undefined;
  /** in one write, in order; never rejects */
  send(commands: readonly RedisCommand[]): Promise<PromiseSettledResult<unknown>[]>;
  close(): void;
}

export interface RedisNodeListener {
  onReady(): void;
  onLost(reason: string): void;
}

/** A master may become a replica and a master again without a word to those who are connected: then only this tells it. */
const readFactsEveryMs = 5_000;

/** It is ready when it has told its replication id: whatever is decided by that must not be sent before. */
export function makeRedisNode(redis: RedisConnection, { onReady, onLost }: RedisNodeListener): RedisNode {
  let ready = false;
  let reason = 'not connected yet';
  let epoch = '';
  let evicts: boolean | undefined;
  let connection = 0;
  let closed = false;

  async function readFacts(): Promise<void> {
    const asked = connection;
    const [replication, memory] = await sendTo(redis, [
      ['INFO', 'replication'],
      ['INFO', 'memory'],
    ]);
    // lost meanwhile: it is asked again by the next connection
    if (asked !== connection || redis.status !== 'ready') return;
    const before = epoch;
    epoch = readField(replication, 'master_replid');
    const policy = readField(memory, 'maxmemory_policy');
    evicts = policy === '' ? undefined : policy !== 'noeviction';
    const isNews = !ready || epoch !== before;
    ready = true;
    if (isNews) onReady();
  }

  redis.on('error', (error: unknown) => {
    reason = toRedisReason(error);
  });
  redis.on('ready', () => void readFacts());
  redis.on('close', () => {
    connection += 1;
    ready = false;
    if (!closed) onLost(reason);
  });
  const timer = setInterval(() => {
    if (ready) void readFacts();
  }, readFactsEveryMs);
  timer.unref();

  return {
    get ready() {
      return ready && redis.status === 'ready';
    },
    get reason() {
      return reason;
    },
    get epoch() {
      return epoch;
    },
    get evicts() {
      return evicts;
    },
    send: async (commands) => (ready ? sendTo(redis, commands) : commands.map(() => toAway(reason))),
    close() {
      closed = true;
      clearInterval(timer);
      connection += 1;
      ready = false;
      redis.disconnect();
    },
  };
}

async function sendTo(redis: RedisConnection, commands: readonly RedisCommand[]): Promise<PromiseSettledResult<unknown>[]> {
  const [only] = commands;
  // a pipeline costs more than one command does
  if (only !== undefined && commands.length === 1) {
    const [name, ...parameters] = only;
    return redis.call(name, ...parameters).then(
      (value) => [toResult(null, value)],
      (error: unknown) => [toResult(error, undefined)],
    );
  }
  const pipeline = redis.pipeline();
  for (const [name, ...parameters] of commands) pipeline.call(name, ...parameters);
  try {
    const replies = await pipeline.exec();
    return commands.map((_, position) => toResult(...(replies?.[position] ?? [new Error('no reply'), undefined])));
  } catch (error) {
    return commands.map(() => toResult(error, undefined));
  }
}

/** Of a part of INFO; '' when it is not there. */
function readField(result: PromiseSettledResult<unknown> | undefined, name: string): string {
  const text = result?.status === 'fulfilled' && typeof result.value === 'string' ? result.value : '';
  return new RegExp(`^${name}:(\\S*)`, 'm').exec(text)?.[1] ?? '';
}
