import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { startFakeProvider } from '../../standalone/fake-provider.ts';
import { environmentOf, leastValues, renderObjects } from '../support/chart.ts';
import { installAccess } from '../support/chart-access.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { type KeywrightProcess, spawnKeywright, type SpawnOptions } from '../support/process.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';

/**
 * A whole Keywright on real parts: kube-apiserver and etcd, Redis, one operator and proxies as processes; only the provider is a fake. Namespaces, resources, accounts and
 * rights are what the chart renders; each process has a token of its service account and may do no more than that.
 */
export interface Installation {
  readonly controlPlane: ControlPlane;
  readonly redis: TestRedis;
  readonly provider: FakeProvider;
  readonly directory: string;
  operator: RunningProcess;
  readonly proxies: RunningProcess[];
  apply(manifest: string): Promise<string>;
  kubectl(...words: string[]): Promise<string>;
  /** the plaintext of `<name>-virtualkey`, as soon as it is there */
  deliveredKey(name: string, namespace?: string): Promise<string>;
  startOperator(environment?: Record<string, string>): Promise<RunningProcess>;
  startProxy(environment?: Record<string, string>): Promise<RunningProcess>;
  /** stdout of every process so far, with those that have ended */
  logs(): string;
  stop(): Promise<void>;
}

export interface RunningProcess {
  readonly process: KeywrightProcess;
  readonly address: string;
  readonly admin: string;
}

export type FakeProvider = Awaited<ReturnType<typeof startFakeProvider>>;
export type FakeBehaviour = NonNullable<Parameters<typeof startFakeProvider>[0]['behaviour']>;

/** The provider's own secret: it may be in the labelled Secret and in the snapshot, and in no output. */
export const providerSecret = `sk-provider-${randomUUID()}`;

export interface InstallationOptions {
  readonly proxies: number;
  readonly behaviour?: FakeBehaviour;
  /** of the chart, over those of this installation */
  readonly values?: object;
  /** settings of the first operator, over those of the chart */
  readonly operator?: Readonly<Record<string, string>>;
  /** settings of the first proxies, over those of the chart */
  readonly proxy?: Readonly<Record<string, string>>;
  /** another build, and which lines of its log are kept */
  readonly spawn?: SpawnOptions;
}

export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const directory = mkdtempSync(join(tmpdir(), 'keywright-e2e-'));
  const [controlPlane, redis] = await Promise.all([startControlPlane(), startRedis()]);
  const provider = await startFakeProvider({
    listen: { host: '127.0.0.1', port: 0 },
    ...(options.behaviour === undefined ? {} : { behaviour: options.behaviour }),
  });
  const all: KeywrightProcess[] = [];
  const chart = await renderObjects({ values: { ...leastValues, publicUrl: 'https://gateway.example.com', ...options.values } });

  // before the chart, which has Roles in it where single namespaces are watched
  await controlPlane.kubectl('create', 'namespace', 'team-b');
  // asked for once: a process may be started while the API server is away
  const kubeconfigs = await installAccess(controlPlane, chart);

  async function run(word: 'operator' | 'proxy', environment: Record<string, string>): Promise<RunningProcess> {
    const settings = {
      ...environmentOf(chart, `keywright-${word}`),
      KUBECONFIG: kubeconfigs[word],
      KEYWRIGHT_ADMIN_LISTEN: '127.0.0.1:0',
      ...environment,
    };
    const process = spawnKeywright([word], settings, options.spawn);
    all.push(process);
    const line = await process.waitForEvent((entry) => entry['event'] === 'listening');
    return { process, address: String(line['address']), admin: String(line['admin']) };
  }

  const installation: Installation = {
    controlPlane,
    redis,
    provider,
    directory,
    operator: undefined as unknown as RunningProcess,
    proxies: [],
    apply: (manifest) => controlPlane.apply(manifest),
    kubectl: (...words) => controlPlane.kubectl(...words),
    async deliveredKey(name, namespace = 'default') {
      return eventually(async () => {
        const text = await controlPlane.kubectl('get', 'secret', `${name}-virtualkey`, '-n', namespace, '-o', 'jsonpath={.data.apiKey}');
        if (text === '') throw new Error('no apiKey yet');
        return Buffer.from(text, 'base64').toString();
      });
    },
    startOperator: (environment = {}) =>
      run('operator', { KEYWRIGHT_API_LISTEN: '127.0.0.1:0', KEYWRIGHT_REDIS_URL: redis.url, ...environment }),
    startProxy: (environment = {}) =>
      run('proxy', {
        KEYWRIGHT_LISTEN: '127.0.0.1:0',
        // the chart's is a memory-backed volume of each pod
        KEYWRIGHT_SNAPSHOT_CACHE_DIR: '',
        KEYWRIGHT_REDIS_URL: redis.url,
        KEYWRIGHT_TRUSTED_PROXIES: '127.0.0.1',
        ...environment,
      }),
    logs: () => all.map((process) => process.output()).join('\n'),
    async stop() {
      await Promise.all(all.map((process) => process.stop()));
      await Promise.all([provider.close(), redis.stop(), controlPlane.stop()]);
      rmSync(directory, { recursive: true, force: true });
    },
  };

  installation.operator = await installation.startOperator(options.operator);
  for (let count = 0; count < options.proxies; count += 1) installation.proxies.push(await installation.startProxy(options.proxy));
  await Promise.all(installation.proxies.map((proxy) => untilReady(proxy)));
  return installation;
}

/** A labelled provider Secret and one Channel per provider, all leading to the fake. */
export function channelManifests(provider: FakeProvider, namespace = 'default'): string {
  const secret = `apiVersion: v1
kind: Secret
metadata: { name: provider-key, namespace: ${namespace}, labels: { keywright.dev/credential: "true" } }
stringData: { apiKey: ${providerSecret} }
`;
  return [
    secret,
    channelManifest('openai', 'OpenAI', provider, namespace),
    channelManifest('anthropic', 'Anthropic', provider, namespace),
  ].join('---\n');
}

function channelManifest(name: string, kind: string, provider: FakeProvider, namespace: string): string {
  return `apiVersion: keywright.dev/v1alpha1
kind: Channel
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  provider: ${kind}
  baseURL: ${provider.address}
  tls: { allowPlaintext: true }
  auth: { apiKeys: [{ name: main, secretRef: { name: provider-key, key: apiKey } }] }
`;
}

export function virtualKey(name: string, spec = '{}', namespace = 'default'): string {
  return `apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: ${spec}\n`;
}

/** SDKs as an application makes them, but without retries of their own, so that a test sees each answer. */
export function openai(proxy: RunningProcess, apiKey: string): OpenAI {
  return new OpenAI({ baseURL: `${proxy.address}/v1`, apiKey, maxRetries: 0 });
}

export function anthropic(proxy: RunningProcess, apiKey: string): Anthropic {
  return new Anthropic({ baseURL: proxy.address, apiKey, maxRetries: 0 });
}

export const hello = [{ role: 'user' as const, content: 'Hello' }];

export async function untilReady(proxy: RunningProcess): Promise<void> {
  await untilHolds(async () => {
    const answer = await fetch(`${proxy.admin}/readyz`);
    if (answer.status !== 200) throw new Error(`not ready: ${await answer.text()}`);
  });
}

let clients = 0;

/**
 * The header of a client that no other call comes from, as a load balancer would write it. Tests ask again and again with keys that are not known yet or any more;
 * from one address that soon is `too_many_attempts`, as it should be, and which call meets it would depend on how fast the machine is.
 */
export function otherClient(): { readonly 'x-forwarded-for': string } {
  clients += 1;
  return { 'x-forwarded-for': `127.${1 + ((clients >> 16) & 127)}.${(clients >> 8) & 255}.${clients & 255}` };
}

/** Until the proxy lets this key in (or no longer does). */
export async function untilStatus(proxy: RunningProcess, apiKey: string, status: number): Promise<void> {
  await untilHolds(async () => {
    const answer = await fetch(`${proxy.address}/v1/models`, { headers: { authorization: `Bearer ${apiKey}`, ...otherClient() } });
    await answer.arrayBuffer();
    if (answer.status !== status) throw new Error(`status ${answer.status}, wanted ${status}`);
  });
}

export async function metric(process: RunningProcess, name: string): Promise<number[]> {
  const text = await (await fetch(`${process.admin}/metrics`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
}
