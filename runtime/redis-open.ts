import type { Log } from './log.ts';
import { RedisCluster } from './redis-cluster.ts';
import type { RedisNodes } from './redis-command.ts';
import { connectRedis, type RedisConnectionOptions } from './redis-connection.ts';
import { makeRedisNode, type RedisNodeListener } from './redis-node.ts';
import type { RedisSource } from './redis-settings.ts';
import { parseRedisUrl, type RedisAddress } from './redis-url.ts';

export interface RedisOptions extends RedisConnectionOptions, RedisSource {
  readonly log: Log;
}

/** Opens what the URL names. One that cannot be read is a bug here: `findRedisMistakes` comes first. */
export function openRedis({ url, ...options }: RedisOptions): RedisNodes {
  const address = toRedisAddress(url.reveal());
  return address.topology === 'cluster' ? new RedisCluster(address, options) : openOne(address, options);
}

/** The address in a URL that was checked with the settings; another one is a bug and throws. */
export function toRedisAddress(url: string): RedisAddress {
  const parsed = parseRedisUrl(url);
  if (!parsed.ok) throw new TypeError(`the Redis URL ${parsed.mistakes.join('; it ')}`);
  return parsed.address;
}

/** The single one, or the master of the moment: every key is there. */
function openOne(address: RedisAddress, options: RedisConnectionOptions): RedisNodes {
  const listeners: RedisNodeListener[] = [];
  const node = makeRedisNode(connectRedis(address, options), {
    onReady: () => {
      for (const { onReady } of listeners) onReady();
    },
    onLost: (reason) => {
      for (const { onLost } of listeners) onLost(reason);
    },
  });
  return {
    get ready() {
      return node.ready;
    },
    get reachable() {
      return node.ready;
    },
    get reason() {
      return node.reason;
    },
    get evicts() {
      return node.evicts;
    },
    readyFor: () => node.ready,
    epochOf: () => node.epoch,
    placeOf: () => 'all',
    send: (commands) => node.send(commands),
    listen: (name) => connectRedis(address, { ...options, name: `${options.name}-${name}` }),
    watch(listener) {
      listeners.push(listener);
      if (node.ready) listener.onReady();
    },
    close: () => node.close(),
  };
}
