import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../dataplane/gateway.ts';
import { type Latency, toLatency } from './latency.ts';
import { publishStreams, type StreamsResult } from './streams-table.ts';

const streams = 200;
const everyMs = 50;
/** of one round; there are several, so that what happens on the machine meets both sides */
const usualSeconds = 15;
const seconds = Number(process.env['KEYWRIGHT_PROVE_SECONDS'] ?? usualSeconds);
const rounds = 3;
const chunks = (seconds * 1000) / everyMs;

/** Between the beginnings of two streams: no multiple of it falls on another's chunk, so that chunks are spread evenly over time. */
const betweenMs = 10.25;

const mostMs = 5;
/** Beyond this the machine is too busy for the figure to say anything about the proxy. */
const mostBaseMs = 3;

interface Provider {
  readonly url: string;
  stop(): void;
}

let provider: Provider;
let gateway: Gateway;

beforeAll(async () => {
  provider = await startProvider();
  gateway = await startGateway({ manifests: () => toManifests(provider.url) });
});
afterAll(async () => {
  await gateway?.stop();
  provider?.stop();
});

async function startProvider(): Promise<Provider> {
  const script = join(import.meta.dirname, 'stamping-provider.ts');
  const child = spawn(process.execPath, [script, '--chunks', String(chunks), '--every', String(everyMs)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [url] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { url, stop: () => void child.stdin.end() };
}

/** A key with every limit, and a channel with a price: each chunk is metered. */
function toManifests(url: string): string {
  return `apiVersion: v1
kind: Secret
metadata: { name: provider-key, labels: { keywright.dev/credential: "true" } }
stringData: { apiKey: some-credential-of-the-provider }
---
apiVersion: keywright.dev/v1alpha1
kind: Channel
metadata: { name: openai }
spec:
  provider: OpenAI
  baseURL: ${url}
  tls: { allowPlaintext: true }
  auth: { apiKeys: [{ name: main, secretRef: { name: provider-key, key: apiKey } }] }
  models: [{ name: gpt-4o-mini, price: { input: "1", output: "1" } }]
---
apiVersion: keywright.dev/v1alpha1
kind: VirtualKey
metadata: { name: streaming }
spec:
  limits: { rpm: 100000, rpd: 1000000, tpm: 1000000000, tpd: 1000000000, concurrency: 1000 }
  budgets: [{ period: Monthly, limit: "1000000" }]
`;
}

/** All streams at once; gives by how much each chunk was late, in milliseconds. */
async function measure(url: string, key: string): Promise<number[]> {
  const dispatcher = new Agent({ connections: streams, pipelining: 1, bodyTimeout: 60_000 });
  const delays: number[] = [];
  const one = async (index: number): Promise<void> => {
    await sleep(index * betweenMs);
    const { statusCode, body } = await request(`${url}/v1/chat/completions`, {
      dispatcher,
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-4o-mini', stream: true, messages: [{ role: 'user', content: 'Hello' }] }),
    });
    if (statusCode !== 200) throw new Error(`${statusCode} ${await body.text()}`);
    let rest = '';
    for await (const piece of body) {
      const now = Number(process.hrtime.bigint() / 1000n);
      const events = (rest + String(piece)).split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        const sent = /"created":(\d+)/.exec(event)?.[1];
        if (sent !== undefined) delays.push((now - Number(sent)) / 1000);
      }
    }
  };
  await Promise.all(Array.from({ length: streams }, (_, index) => one(index)));
  await dispatcher.close();
  return delays;
}

it(
  `${streams} streams of ${1000 / everyMs} chunks a second: a chunk arrives within ${mostMs} ms, 99 of 100 times`,
  async () => {
    const key = await gateway.key('streaming');
    const direct: number[] = [];
    const through: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      direct.push(...(await measure(provider.url, key)));
      through.push(...(await measure(gateway.address, key)));
    }
    const toFigures = (delays: readonly number[]): Latency => toLatency(delays, 2);
    const result: StreamsResult = {
      streams,
      chunksPerSecond: 1000 / everyMs,
      chunks: through.length,
      direct: toFigures(direct),
      through: toFigures(through),
    };
    process.stdout.write(`${JSON.stringify(result, undefined, 1)}\n`);
    expect(direct.length).toBe(rounds * streams * chunks);
    expect(through.length).toBe(rounds * streams * chunks);
    expect(result.direct.p99Ms, 'without a proxy: give the proof the machine to itself').toBeLessThanOrEqual(mostBaseMs);
    expect(result.through.p99Ms).toBeLessThanOrEqual(mostMs);
    if (seconds >= usualSeconds) publishStreams(result);
  },
  (seconds * rounds * 2 + 60) * 1000,
);
