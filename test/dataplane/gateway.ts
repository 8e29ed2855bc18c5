import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFakeProvider } from '../../standalone/fake-provider.ts';
import { eventually } from '../support/eventually.ts';
import { type KeywrightProcess, type LogLine, spawnKeywright } from '../support/process.ts';

export type FakeProvider = Awaited<ReturnType<typeof startFakeProvider>>;
export type FakeBehaviour = NonNullable<Parameters<typeof startFakeProvider>[0]['behaviour']>;

/** `keywright standalone` as a process over a folder of manifests, in front of a fake provider. */
export interface Gateway {
  /** of the start that is running now */
  process: KeywrightProcess;
  address: string;
  admin: string;
  readonly provider: FakeProvider;
  readonly manifests: string;
  readonly state: string;
  write(file: string, manifest: string): void;
  key(name: string): Promise<string>;
  /** access lines of one virtual key so far */
  accessLines(name: string): readonly LogLine[];
  /** stops the process; `start` starts another one on the same folders, on other ports */
  halt(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface GatewayOptions {
  readonly behaviour?: FakeBehaviour;
  readonly redisUrl?: string;
  readonly environment?: Record<string, string>;
  readonly manifests: (provider: FakeProvider) => string;
}

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const directory = mkdtempSync(join(tmpdir(), 'keywright-dataplane-'));
  const manifests = join(directory, 'manifests');
  const state = join(directory, 'state');
  mkdirSync(manifests);
  const provider = await startFakeProvider({
    listen: { host: '127.0.0.1', port: 0 },
    ...(options.behaviour === undefined ? {} : { behaviour: options.behaviour }),
  });
  writeFileSync(join(manifests, 'all.yaml'), options.manifests(provider));
  const words = ['standalone', '--manifests', manifests, '--state', state, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  if (options.redisUrl !== undefined) words.push('--redis', options.redisUrl);
  const run = async (): Promise<Pick<Gateway, 'process' | 'address' | 'admin'>> => {
    const process = spawnKeywright(words, options.environment ?? {});
    const line = await process.waitForEvent((entry) => entry['event'] === 'listening');
    return { process, address: String(line['address']), admin: String(line['admin']) };
  };
  const gateway: Gateway = {
    ...(await run()),
    provider,
    manifests,
    state,
    write(file, manifest) {
      writeFileSync(join(manifests, file), manifest);
    },
    key: (name) =>
      eventually(async () => {
        const secret = JSON.parse(readFileSync(join(state, 'secrets', 'default', `${name}-virtualkey.json`), 'utf8')) as {
          data: Record<string, string>;
        };
        return Buffer.from(secret.data['apiKey'] ?? '', 'base64').toString();
      }),
    accessLines: (name) => gateway.process.lines.filter((entry) => entry['event'] === 'access' && entry['key'] === `default/${name}`),
    async halt() {
      await gateway.process.stop();
    },
    async start() {
      Object.assign(gateway, await run());
    },
    async stop() {
      await gateway.process.stop();
      await provider.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return gateway;
}

export const providerSecret = `sk-provider-${randomUUID()}`;

/** The labelled Secret, a Channel per dialect and the given VirtualKeys (name → spec in YAML flow style). */
export function manifestsFor(provider: FakeProvider, keys: Record<string, string>, channelExtra = ''): string {
  const channel = (name: string, kind: string): string => `apiVersion: keywright.dev/v1alpha1
kind: Channel
metadata: { name: ${name} }
spec:
  provider: ${kind}
  baseURL: ${provider.address}
  tls: { allowPlaintext: true }
  auth: { apiKeys: [{ name: main, secretRef: { name: provider-key, key: apiKey } }] }
${channelExtra}`;
  const documents = [
    `apiVersion: v1
kind: Secret
metadata: { name: provider-key, labels: { keywright.dev/credential: "true" } }
stringData: { apiKey: ${providerSecret} }
`,
    channel('openai', 'OpenAI'),
    channel('anthropic', 'Anthropic'),
    ...Object.entries(keys).map(
      ([name, spec]) => `apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: { name: ${name} }\nspec: ${spec}\n`,
    ),
  ];
  return documents.join('---\n');
}

export const hello = [{ role: 'user' as const, content: 'Hello' }];
