import { eventually } from './eventually.ts';
import { type RedisServer, startRedisServer } from './redis.ts';
import type { TlsOfRedis } from './redis-tls.ts';

export interface TestRedisSentinel {
  /** with the password of Redis */
  readonly url: string;
  /** of the Sentinels themselves */
  readonly sentinelPassword: string;
  readonly sentinels: readonly RedisServer[];
  readonly redises: readonly [RedisServer, RedisServer];
  /** whom the Sentinels name now */
  master(): Promise<RedisServer>;
  replica(): Promise<RedisServer>;
  stop(): Promise<void>;
}

const masterName = 'mymaster';
const password = 'redis-password';
const sentinelPassword = 'sentinel-password';

/** A master, a replica and three Sentinels on the loopback, with one password for Redis and another for the Sentinels. A failover takes two to three seconds. */
export async function startRedisSentinel({ tls }: { tls?: TlsOfRedis } = {}): Promise<TestRedisSentinel> {
  const secure = { ...(tls && { ca: tls.authority }) };
  const redisLines = [`masterauth ${password}`, 'repl-diskless-sync-delay 0', tls?.configuration ?? ''];
  const first = await startRedisServer({ ...secure, password, configuration: redisLines.join('\n') });
  const second = await startRedisServer({
    ...secure,
    password,
    configuration: [...redisLines, `replicaof 127.0.0.1 ${first.port}`].join('\n'),
  });
  await eventually(async () => String(await second.cli('INFO', 'replication')).includes('master_link_status:up'));
  const sentinelLines = [
    tls?.configuration ?? '',
    `sentinel monitor ${masterName} 127.0.0.1 ${first.port} 2`,
    `sentinel auth-pass ${masterName} ${password}`,
    `sentinel down-after-milliseconds ${masterName} 1000`,
    `sentinel failover-timeout ${masterName} 6000`,
    `sentinel sentinel-pass ${sentinelPassword}`,
  ];
  const sentinel = { ...secure, flags: ['--sentinel'], password: sentinelPassword, configuration: sentinelLines.join('\n') };
  const sentinels = await Promise.all(Array.from({ length: 3 }, () => startRedisServer(sentinel)));
  const state = async (sentinelServer: RedisServer): Promise<Record<string, string>> => {
    const flat = (await sentinelServer.cli('SENTINEL', 'MASTER', masterName)) as string[];
    return Object.fromEntries(flat.flatMap((word, position) => (position % 2 === 0 ? [[word, flat[position + 1] ?? '']] : [])));
  };
  // a failover needs all of this to be known
  await eventually(
    async () => {
      const states = await Promise.all(sentinels.map(state));
      return states.every((known) => known['num-slaves'] === '1' && known['num-other-sentinels'] === '2' && known['flags'] === 'master');
    },
    { withinMs: 30_000 },
  );
  const master = async (): Promise<RedisServer> => {
    const [one] = sentinels;
    const [, port] = ((await one?.cli('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', masterName)) ?? []) as string[];
    return Number(port) === second.port ? second : first;
  };
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  return {
    url: `${tls === undefined ? 'redis' : 'rediss'}+sentinel://:${password}@${hosts}/${masterName}`,
    sentinelPassword,
    sentinels,
    redises: [first, second],
    master,
    replica: async () => ((await master()) === first ? second : first),
    async stop() {
      await Promise.all([...sentinels, first, second].map((server) => server.stop()));
    },
  };
}
