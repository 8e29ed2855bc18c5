import type { RedisCommand } from './redis-command.ts';
import { toRedisReason, type RedisConnection } from './redis-connection.ts';
import { openRedis, type RedisOptions, toRedisAddress } from './redis-open.ts';
import { type RedisScriptCall, runScripts } from './redis-script.ts';
import { describeRedis } from './redis-url.ts';

/** What the processes of an installation tell each other through Redis, beside the limits. It may be away at any time. */
export interface RedisLink {
  /** commands can be sent and channels are listened to; of a cluster at least in part */
  readonly connected: boolean;
  /** why it is not, in a word or two that hold no secret */
  readonly reason: string;
  /** true: a Redis throws keys away when it is full; undefined: none has told yet, or may tell us */
  readonly evicts: boolean | undefined;
  /** replication id of the master that holds what has this hash tag; '' while it is not known */
  epochOf(tag: string): string;
  /** these commands in one write for each node; rejects when one of them failed */
  send(commands: readonly RedisCommand[]): Promise<unknown[]>;
  /** the same, and gives what became of each: of a cluster a part may be away */
  trySend(commands: readonly RedisCommand[]): Promise<PromiseSettledResult<unknown>[]>;
  /** these scripts in one write for each node; rejects when one of them failed */
  run(calls: readonly RedisScriptCall[]): Promise<unknown[]>;
  /** the same, and gives what became of each */
  tryRun(calls: readonly RedisScriptCall[]): Promise<PromiseSettledResult<unknown>[]>;
  /** `listener` must not throw; before the first connection only. A channel may have several */
  subscribe(channel: string, listener: (message: string) => void): void;
  /** each time that it is connected, or one more node of it is, when the channels are already listened to: what is read now misses nothing */
  onConnected(listener: () => void): void;
  close(): Promise<void>;
}

/** A subscriber asks for nothing, so without this nobody would notice that its peer has vanished. */
const pingEveryMs = 1_000;

/** Connections for commands and one that listens, because one that listens to channels may send no commands. Connects by itself, now and after every loss. */
export function makeRedisLink(options: RedisOptions): RedisLink {
  const { log } = options;
  const redis = describeRedis(toRedisAddress(options.url.reveal()));
  const commands = openRedis(options);
  const channels = new Map<string, ((message: string) => void)[]>();
  const whenConnected: (() => void)[] = [];
  let connected: boolean | undefined;
  let closed = false;
  /** an attempt to connect or to subscribe has failed */
  let failed = false;
  let reason = 'not connected yet';

  const tell = (): void => {
    for (const listener of whenConnected) listener();
  };
  const review = (): void => {
    const next = listener.subscribed && commands.reachable;
    // Until an attempt has failed it is on its way, not lost: one of the connections is always ready first.
    if (closed || next === connected || (connected === undefined && !next && !failed)) return;
    connected = next;
    if (!next) return log.warn({ event: 'redis_link_lost', redis, reason }, 'Redis is away: revocations come through the snapshot alone');
    log.info({ event: 'redis_link_connected', redis }, 'revocations are told through Redis');
    tell();
  };
  const fail = (why: string): void => {
    reason = why;
    failed = true;
    review();
  };
  const listener = startListener(commands.listen('listen'), channels, { onSubscribed: review, onLost: fail });
  commands.watch({
    onReady() {
      if (connected === true) tell();
      review();
    },
    onLost: fail,
  });

  return {
    get connected() {
      return connected === true;
    },
    get reason() {
      return reason;
    },
    get evicts() {
      return commands.evicts;
    },
    epochOf: (tag) => commands.epochOf(`{${tag}}`),
    send: async (list) => toValues(await commands.send(list)),
    trySend: (list) => commands.send(list),
    run: async (calls) => toValues(await runScripts(commands, calls)),
    tryRun: (calls) => runScripts(commands, calls),
    subscribe: (channel, take) => void channels.set(channel, [...(channels.get(channel) ?? []), take]),
    onConnected: (take) => void whenConnected.push(take),
    async close() {
      closed = true;
      commands.close();
      listener.close();
    },
  };
}

/** Listens to all channels at each connection. */
function startListener(
  listening: RedisConnection,
  channels: ReadonlyMap<string, readonly ((message: string) => void)[]>,
  { onSubscribed, onLost }: { onSubscribed: () => void; onLost: (reason: string) => void },
): { readonly subscribed: boolean; close(): void } {
  let subscribed = false;
  let reason = 'not connected yet';
  const subscribe = async (): Promise<void> => {
    try {
      if (channels.size > 0) await listening.subscribe(...channels.keys());
      subscribed = true;
      onSubscribed();
    } catch (error) {
      // not allowed, or lost meanwhile: without channels changes are only found by reading
      onLost(toRedisReason(error));
      if (listening.status === 'ready') listening.disconnect(true);
    }
  };
  listening.on('error', (error: unknown) => {
    reason = toRedisReason(error);
  });
  listening.on('ready', () => void subscribe());
  listening.on('close', () => {
    subscribed = false;
    onLost(reason);
  });
  listening.on('message', (channel: string, message: string) => {
    for (const take of channels.get(channel) ?? []) take(message);
  });
  const pings = setInterval(() => {
    if (subscribed) listening.ping().catch(() => {});
  }, pingEveryMs);
  pings.unref();
  return {
    get subscribed() {
      return subscribed;
    },
    close() {
      clearInterval(pings);
      listening.disconnect();
    },
  };
}

function toValues(results: readonly PromiseSettledResult<unknown>[]): unknown[] {
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
