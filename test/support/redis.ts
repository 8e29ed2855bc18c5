import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Redis } from 'ioredis';
import { type Child, makeTemporaryDirectory, startChild } from './child.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { startRelay } from './relay.ts';

export interface TestRedis {
  /** stays the same over kill and start */
  readonly url: string;
  /** ends it without notice (what it acknowledged is lost, except where REDIS_URL was given: there the connections are cut) */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** it accepts connections and does not answer */
  pause(): Promise<void>;
  resume(): Promise<void>;
  stop(): Promise<void>;
  /** one command, e.g. `cli('HGETALL', key)`; gives the raw answer */
  cli(...command: string[]): Promise<unknown>;
}

/** The image of the container source; another may be named where no public registry can be reached. */
const image = process.env['KEYWRIGHT_TEST_REDIS_IMAGE'] ?? 'redis:7.2.11-alpine';

/**
 * A Redis for one test file. Sources in order: `REDIS_URL` (shared with others: it is flushed, and faults are made on a relay in front of it), a container where a Docker
 * engine answers, `redis-server` on PATH. Without any it fails: a run without Redis must not look like a run with it.
 */
export async function startRedis(): Promise<TestRedis> {
  const given = process.env['REDIS_URL'];
  if (given !== undefined && given !== '') return startOnRelay(given);
  const engine = dockerAnswers() && (await startContainer().catch(toUndefined));
  if (engine) return engine;
  if (findProgram('redis-server') !== undefined) return startRedisServer();
  throw new Error('no Redis for the tests: set REDIS_URL, start Docker, or install redis-server (`make test` does that as root on Debian)');
}

export interface RedisServer extends TestRedis {
  readonly port: number;
}

export interface RedisServerOptions {
  readonly flags?: readonly string[];
  /** lines of its file, after the usual ones */
  readonly configuration?: string;
  readonly password?: string;
  /** it speaks TLS alone, with a certificate of this authority (PEM) */
  readonly ca?: string;
}

/**
 * A `redis-server` of PATH as a process of its own, for what neither REDIS_URL nor a container can be: a node of a cluster, a Sentinel, one with TLS. Fails without the program.
 */
export async function startRedisServer({ flags = [], configuration = '', password, ca }: RedisServerOptions = {}): Promise<RedisServer> {
  const program = findProgram('redis-server');
  if (program === undefined) throw new Error('these tests need redis-server on PATH (Debian: apt-get install redis-server)');
  const port = await freePort();
  const url = `${ca === undefined ? 'redis' : 'rediss'}://${password === undefined ? '' : `:${password}@`}127.0.0.1:${port}`;
  const directory = makeTemporaryDirectory('redis');
  const file = join(directory, 'redis.conf');
  const ports = ca === undefined ? [`port ${port}`] : ['port 0', `tls-port ${port}`];
  const usual = [...ports, 'bind 127.0.0.1', 'save ""', 'appendonly no', `dir ${directory}`];
  if (password !== undefined) usual.push(`requirepass ${password}`);
  // Sentinels write their own state into it
  writeFileSync(file, `${[...usual, configuration].join('\n')}\n`);
  let server: Child;
  const start = async (): Promise<void> => {
    server = startChild(program, [file, ...flags]);
    await ready(url, { server: () => server, ca });
  };
  await start();
  return {
    url,
    port,
    start,
    async kill() {
      server.signal('SIGKILL');
      await server.ended;
    },
    pause: async () => server.signal('SIGSTOP'),
    resume: async () => server.signal('SIGCONT'),
    async stop() {
      server.signal('SIGCONT');
      await server.stop();
    },
    cli: (...command) => runRedisCommand(url, command, ca),
  };
}

/** Commands over a connection of its own, closed after each: nothing is left open when the server is killed. */
export async function runRedisCommand(url: string, command: readonly string[], ca?: string): Promise<unknown> {
  const [name = 'PING', ...args] = command;
  const client = new Redis(url, {
    lazyConnect: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    ...(ca !== undefined && { tls: { ca } }),
  });
  client.on('error', () => {}); // the rejected command tells it
  try {
    await client.connect();
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}

async function startOnRelay(target: string): Promise<TestRedis> {
  const { hostname, port, protocol } = new URL(target);
  if (protocol !== 'redis:')
    throw new Error('the tests take a REDIS_URL that begins with redis:// (TLS would not pass the relay under its own name)');
  const relay = await startRelay(hostname, Number(port || 6379));
  const through = new URL(target);
  through.hostname = '127.0.0.1';
  through.port = String(relay.port);
  await runRedisCommand(target, ['FLUSHDB']);
  return {
    url: through.href,
    kill: () => relay.cut(),
    start: () => relay.restore(),
    pause: async () => relay.pause(),
    resume: async () => relay.resume(),
    stop: () => relay.close(),
    cli: (...command) => runRedisCommand(target, command),
  };
}

async function startContainer(): Promise<TestRedis> {
  const { GenericContainer, getContainerRuntimeClient } = await import('testcontainers');
  const port = await freePort();
  const container = await new GenericContainer(image)
    .withEntrypoint(['redis-server'])
    .withCommand(['--save', '', '--appendonly', 'no', '--bind', '0.0.0.0', '--protected-mode', 'no'])
    .withExposedPorts({ container: 6379, host: port })
    .start();
  const client = await getContainerRuntimeClient();
  const engine = client.container.getById(container.getId());
  const url = `redis://${container.getHost()}:${port}`;
  await ready(url);
  return {
    url,
    kill: async () => void (await engine.kill()),
    async start() {
      await engine.start();
      await ready(url);
    },
    pause: async () => void (await engine.pause()),
    resume: async () => void (await engine.unpause()),
    stop: async () => void (await container.stop()),
    cli: (...command) => runRedisCommand(url, command),
  };
}

async function ready(url: string, { server, ca }: { server?: () => Child; ca?: string | undefined } = {}): Promise<void> {
  await eventually(async () => {
    const child = server?.();
    if (child !== undefined && !child.running) throw new Error(`redis-server ended: ${child.lastWords()}`);
    return (await runRedisCommand(url, ['PING'], ca)) === 'PONG';
  });
}

/** A socket file or DOCKER_HOST; whether an engine answers behind it, the attempt to start a container tells. */
function dockerAnswers(): boolean {
  return process.env['DOCKER_HOST'] !== undefined || existsSync('/var/run/docker.sock');
}

function findProgram(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, name))
    .find((path) => existsSync(path));
}

function toUndefined(): undefined {
  return undefined;
}
