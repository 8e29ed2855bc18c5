import { slotCount, slotOf } from '../../runtime/redis-slots.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { type RedisServer, startRedisServer } from './redis.ts';

export interface TestRedisCluster {
  /** all nodes are in it */
  readonly url: string;
  readonly nodes: readonly RedisServer[];
  /** who holds the keys with this hash tag now, as the first node that answers sees it */
  masterOf(tag: string): Promise<RedisServer>;
  /** one command on the master that holds its key, which is its second word */
  cli(...command: string[]): Promise<unknown>;
  /** of all masters */
  keys(): Promise<string[]>;
  flush(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * A Redis Cluster of three masters on the loopback; `replicas` of them have a replica, the first ones first.
 * `nodeTimeoutMs`: so long a node may be silent before others count it as away, and a master without most of the others takes nothing any more; a failover takes about twice that.
 * Long, because on a busy machine a sound node is silent too: only a test that waits for a failover has reason to shorten it.
 */
export async function startRedisCluster({ masters = 3, replicas = 0, nodeTimeoutMs = 20_000 } = {}): Promise<TestRedisCluster> {
  const nodes = await Promise.all(Array.from({ length: masters + replicas }, () => startNode(nodeTimeoutMs)));
  const [first] = nodes;
  if (first === undefined) throw new Error('a cluster needs a node');
  for (const [index, { server }] of nodes.slice(0, masters).entries()) {
    const [from, to] = [Math.floor((index * slotCount) / masters), Math.floor(((index + 1) * slotCount) / masters) - 1];
    await server.cli('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
    await server.cli('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
  }
  for (const { server, busPort } of nodes.slice(1)) {
    await first.server.cli('CLUSTER', 'MEET', '127.0.0.1', String(server.port), String(busPort));
  }
  await untilAllKnow(nodes.map(({ server }) => server));
  for (const [index, { server }] of nodes.slice(masters).entries()) {
    const id = String(await nodes[index]?.server.cli('CLUSTER', 'MYID'));
    await server.cli('CLUSTER', 'REPLICATE', id);
    await eventually(async () => String(await server.cli('INFO', 'replication')).includes('master_link_status:up'));
  }
  return toCluster(nodes.map(({ server }) => server));
}

async function startNode(nodeTimeoutMs: number): Promise<{ server: RedisServer; busPort: number }> {
  // the usual one, 10000 above, may be no port at all
  const busPort = await freePort();
  const lines = [
    'cluster-enabled yes',
    `cluster-port ${busPort}`,
    `cluster-node-timeout ${nodeTimeoutMs}`,
    'cluster-require-full-coverage no',
  ];
  const server = await startRedisServer({
    configuration: [...lines, 'cluster-replica-validity-factor 0', 'repl-diskless-sync-delay 0'].join('\n'),
  });
  return { server, busPort };
}

async function untilAllKnow(servers: readonly RedisServer[]): Promise<void> {
  await eventually(async () => {
    const infos = await Promise.all(servers.map((server) => server.cli('CLUSTER', 'INFO')));
    return infos.every(
      (info) => String(info).includes('cluster_state:ok') && String(info).includes(`cluster_known_nodes:${servers.length}`),
    );
  });
}

function toCluster(nodes: readonly RedisServer[]): TestRedisCluster {
  const masterOf = async (slot: number): Promise<RedisServer> => {
    for (const node of nodes) {
      const ranges = (await node.cli('CLUSTER', 'SLOTS').catch(() => undefined)) as [number, number, [string, number]][] | undefined;
      const port = ranges?.find(([from, to]) => from <= slot && slot <= to)?.[2][1];
      const master = nodes.find((candidate) => candidate.port === port);
      if (master !== undefined) return master;
    }
    throw new Error(`no node of the cluster names a master of slot ${slot}`);
  };
  const masters = async (): Promise<RedisServer[]> => {
    const found = await Promise.all(Array.from({ length: 64 }, (_, part) => masterOf(part * (slotCount / 64))));
    return [...new Set(found)];
  };
  return {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    nodes,
    masterOf: (tag) => masterOf(slotOf(`{${tag}}`)),
    cli: async (...command) => (await masterOf(slotOf(command[1] ?? ''))).cli(...command),
    keys: async () => (await Promise.all((await masters()).map((node) => node.cli('KEYS', '*')))).flat() as string[],
    async flush() {
      for (const node of await masters()) await node.cli('FLUSHALL');
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}
