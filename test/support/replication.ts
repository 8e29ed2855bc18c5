import { eventually } from './eventually.ts';
import { type RedisServer, runRedisCommand } from './redis.ts';

/** A field of INFO replication; '' when it is not there. */
export async function replicationOf(server: RedisServer, field: string): Promise<string> {
  return new RegExp(`^${field}:(\\S*)`, 'm').exec(String(await server.cli('INFO', 'replication')))?.[1] ?? '';
}

export async function untilReplicated(master: RedisServer, replica: RedisServer): Promise<void> {
  await eventually(
    async () =>
      (await replicationOf(replica, 'master_link_status')) === 'up' &&
      (await replicationOf(master, 'master_repl_offset')) === (await replicationOf(replica, 'slave_repl_offset')),
  );
}

/** From here on the master acknowledges what no replica will ever see: its replicas are thrown out and do not know the new password. Who is connected stays so. */
export async function breakReplication(master: RedisServer): Promise<void> {
  await master.cli('CONFIG', 'SET', 'requirepass', 'not-told-to-replicas');
  const url = new URL(master.url);
  url.password = 'not-told-to-replicas';
  await runRedisCommand(url.href, ['CLIENT', 'KILL', 'TYPE', 'replica']);
}
