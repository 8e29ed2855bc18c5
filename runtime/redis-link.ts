import type { Hidden } from './environment.ts';
import type { Log } from './log.ts';
import { connectRedis, type RedisConnectionOptions, runScripts, toRedisReason } from './redis-connection.ts';
import type { RedisScriptCall } from './redis-script.ts';
import { parseRedisUrl } from './redis-url.ts';

/** What the processes of an installation tell each other through Redis, beside the limits. It may be away at any time. */
export interface RedisLink {
  /** commands can be sent and channels are listened to */
  readonly connected: boolean;
  /** why it is not, in a word or two that hold no secret */
  readonly reason: string;
  /** these commands in one write; rejects when one of them failed */
  send(commands: readonly RedisCommand[]): Promise<unknown[]>;
  /** these scripts in one write; rejects when one of them failed */
  run(calls: readonly RedisScriptCall[]): Promise<unknown[]>;
  /** `listener` must not throw; before the first connection only */
  subscribe(channel: string, listener: (message: string) => void): void;
  /** each time that it is connected, when the channels are already listened to: what is read now misses nothing */
  onConnected(listener: () => void): void;
  close(): Promise<void>;
}

type RedisCommand = readonly [name: string, ...parameters: string[]];

export interface RedisLinkOptions extends RedisConnectionOptions {
  readonly url: Hidden;
  readonly log: Log;
}

/** A subscriber asks for nothing, so without this nobody would notice that its peer has vanished. */
const pingEveryMs = 1_000;

/** Two connections, because one that listens to channels may send no commands. Connects by itself, now and after every loss. */
export function makeRedisLink({ url, log, ...options }: RedisLinkOptions): RedisLink {
  const parsed = parseRedisUrl(url.reveal());
  if (!parsed.ok) throw new TypeError(parsed.message);
  const { address } = parsed;
  const commands = connectRedis(address, options);
  const listening = connectRedis(address, { ...options, name: `${options.name}-listen` });
  const channels = new Map<string, (message: string) => void>();
  const whenConnected: (() => void)[] = [];
  const redis = `${address.host}:${address.port}`;
  let subscribed = false;
  let connected: boolean | undefined;
  let closed = false;
  /** an attempt to connect or to subscribe has failed */
  let failed = false;
  let reason = 'not connected yet';

  const review = (): void => {
    const next = subscribed && commands.status === 'ready';
    // Until an attempt has failed it is on its way, not lost: one of the two connections is always ready first.
    if (closed || next === connected || (connected === undefined && !next && !failed)) return;
    connected = next;
    if (!next) return log.warn({ event: 'redis_link_lost', redis, reason }, 'Redis is away: revocations come through the snapshot alone');
    log.info({ event: 'redis_link_connected', redis }, 'revocations are told through Redis');
    for (const listener of whenConnected) listener();
  };
  const subscribe = async (): Promise<void> => {
    try {
      if (channels.size > 0) await listening.subscribe(...channels.keys());
      subscribed = true;
    } catch (error) {
      // not allowed, or lost meanwhile: without channels changes are only found by reading
      reason = toRedisReason(error);
      failed = true;
      if (listening.status === 'ready') listening.disconnect(true);
    }
    review();
  };
  for (const connection of [commands, listening]) {
    connection.on('error', (error: unknown) => {
      reason = toRedisReason(error);
    });
  }
  commands.on('ready', review);
  commands.on('close', () => {
    failed = true;
    review();
  });
  listening.on('ready', () => void subscribe());
  listening.on('close', () => {
    failed = true;
    subscribed = false;
    review();
  });
  listening.on('message', (channel: string, message: string) => channels.get(channel)?.(message));
  const pings = setInterval(() => {
    if (subscribed) listening.ping().catch(() => {});
  }, pingEveryMs);
  pings.unref();

  return {
    get connected() {
      return connected === true;
    },
    get reason() {
      return reason;
    },
    async send(list) {
      const pipeline = commands.pipeline();
      for (const [name, ...parameters] of list) pipeline.call(name, ...parameters);
      const replies = (await pipeline.exec()) ?? [];
      return replies.map(([error, value]) => {
        if (error) throw error;
        return value;
      });
    },
    async run(calls) {
      return (await runScripts(commands, calls)).map((result) => {
        if (result.status === 'rejected') throw result.reason;
        return result.value;
      });
    },
    subscribe: (channel, listener) => void channels.set(channel, listener),
    onConnected: (listener) => void whenConnected.push(listener),
    async close() {
      closed = true;
      clearInterval(pings);
      commands.disconnect();
      listening.disconnect();
    },
  };
}
