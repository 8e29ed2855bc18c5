import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startFakeProvider } from '../../standalone/fake-provider.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { renderObjects } from '../support/chart.ts';
import { installAccess } from '../support/chart-access.ts';
import { startChild } from '../support/child.ts';
import { type KeywrightProcess, spawnKeywright } from '../support/process.ts';
import { startRedis } from '../support/redis.ts';
import { type ApiClient, makeApiClient } from './api-client.ts';

/** API server, etcd, Redis and a fake provider, and the means to start operators and proxies of one build on them. */
export interface Fleet {
  readonly api: ApiClient;
  readonly controlPlane: ControlPlane;
  readonly redisUrl: string;
  /** both resolve when it listens; whether it is ready is another matter */
  startOperator(environment?: Readonly<Record<string, string>>): Promise<Running>;
  startProxy(environment?: Readonly<Record<string, string>>): Promise<Running>;
  stop(): Promise<void>;
}

export interface Running {
  readonly process: KeywrightProcess;
  readonly address: string;
  readonly admin: string;
  /** when it was started, by `performance.now()` */
  readonly startedMs: number;
}

const root = join(import.meta.dirname, '..', '..');
/** What Node gives itself in containers with the memory limits of the chart, 512 and 768 MiB; on a large machine it would let garbage lie for gigabytes. */
const heaps: Readonly<Record<string, string>> = {
  operator: '--max-old-space-size=256 --max-semi-space-size=1',
  proxy: '--max-old-space-size=384 --max-semi-space-size=16',
};

export async function startFleet(command: readonly [string, ...string[]]): Promise<Fleet> {
  const [controlPlane, redis] = await Promise.all([startControlPlane(), startRedis()]);
  const provider = await startFakeProvider({ listen: { host: '127.0.0.1', port: 0 } });
  const processes: KeywrightProcess[] = [];
  const api = makeApiClient(controlPlane);

  async function run(words: readonly string[], environment: Record<string, string>): Promise<Running> {
    const startedMs = performance.now();
    const probe = `--import=${join(root, 'test', 'prove', 'stall-probe.ts')} --disable-warning=ExperimentalWarning`;
    const started = spawnKeywright(words, { ...environment, NODE_OPTIONS: `${probe} ${heaps[words[0] ?? ''] ?? ''}` }, { command });
    processes.push(started);
    const line = await started.waitForEvent((entry) => entry['event'] === 'listening', 60_000);
    return { process: started, address: String(line['address']), admin: String(line['admin']), startedMs };
  }

  // The chart's service accounts; what an administrator asks for would also pass the API server's priority and fairness unseen.
  const accounts = await installAccess(controlPlane, await renderObjects());
  await prepare(controlPlane, provider.address);
  const admin = { KEYWRIGHT_ADMIN_LISTEN: '127.0.0.1:0' };
  return {
    api,
    controlPlane,
    redisUrl: redis.url,
    startOperator: (environment = {}) =>
      run(['operator'], {
        ...admin,
        KUBECONFIG: accounts.operator,
        KEYWRIGHT_PUBLIC_URL: 'https://gateway.example.com',
        KEYWRIGHT_API_LISTEN: '127.0.0.1:0',
        ...environment,
      }),
    startProxy: (environment = {}) =>
      run(['proxy'], {
        ...admin,
        KUBECONFIG: accounts.proxy,
        KEYWRIGHT_LISTEN: '127.0.0.1:0',
        KEYWRIGHT_REDIS_URL: redis.url,
        KEYWRIGHT_REPLICAS: '2',
        ...environment,
      }),
    async stop() {
      await Promise.all(processes.map((process) => process.stop(30_000)));
      await api.close();
      await Promise.all([provider.close(), redis.stop(), controlPlane.stop()]);
    },
  };
}

async function prepare(controlPlane: ControlPlane, provider: string): Promise<void> {
  await controlPlane.kubectl('create', 'namespace', 'platform');
  await controlPlane.apply(`apiVersion: v1
kind: Secret
metadata: { name: provider-key, namespace: platform, labels: { keywright.dev/credential: "true" } }
stringData: { apiKey: sk-provider }
---
apiVersion: keywright.dev/v1alpha1
kind: Channel
metadata: { name: openai, namespace: platform }
spec:
  provider: OpenAI
  baseURL: ${provider}
  allowedNamespaces: { from: All }
  tls: { allowPlaintext: true }
  auth: { apiKeys: [{ name: main, secretRef: { name: provider-key, key: apiKey } }] }
`);
}

/** Resident memory now and at its highest, in MiB (`/proc/<pid>/status`). */
export function memoryOf(pid: number): { readonly nowMiB: number; readonly peakMiB: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name: string): number => Math.round(Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 102.4) / 10;
  return { nowMiB: read('VmRSS'), peakMiB: read('VmHWM') };
}

export interface Stall {
  /** by the clock: on a busy machine also what others did meanwhile */
  readonly wallMs: number;
  /** of its own thread's CPU */
  readonly cpuMs: number;
}

/** The longest time that the process held up its event loop since it was asked last. */
export async function longestStall({ process }: Running): Promise<Stall> {
  const before = process.lines.length;
  process.kill('SIGUSR2');
  const line = await process.waitForEvent((entry) => entry['event'] === 'stall' && process.lines.indexOf(entry) >= before);
  const round = (value: unknown): number => Math.round(Number(value) * 10) / 10;
  return { wallMs: round(line['wallMs']), cpuMs: round(line['cpuMs']) };
}

/** One sample of a process' metrics by its whole name with labels. */
export async function sample({ admin }: Running, name: string): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return sumOf(text, (line) => line.startsWith(`${name} `) || line.startsWith(name.endsWith('}') ? name : `${name}{`));
}

export function sumOf(metrics: string, wanted: (line: string) => boolean): number {
  return metrics
    .split('\n')
    .filter((line) => wanted(line))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** What a bare Node with `node:http` and undici takes, listening: the measure for what a proxy adds. */
export async function bareNodeMiB(node: string): Promise<number> {
  const code = `await import('undici'); (await import('node:http')).createServer().listen(0, '127.0.0.1', () => console.log('listening'))`;
  const { promise, resolve } = Promise.withResolvers<void>();
  const child = startChild(node, ['--input-type=module', '-e', code], { directory: root, onOutput: () => resolve() });
  await promise;
  const { nowMiB } = memoryOf(child.pid);
  await child.stop();
  return nowMiB;
}
