import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runLint } from '../../cli/lint.ts';
import type { Channel } from '../../core/resources.ts';
import { Secret } from '../../core/secret.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { toChannelRecord } from '../../operator/translate/channel-record.ts';
import { tellsUsageUnasked } from '../../proxy/dialects/openai/stream-usage.ts';
import { parseManifests } from '../../standalone/manifests/parse-manifests.ts';
import { useOneChannel } from '../../test/support/one-channel.ts';

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.yaml'));
const read = (file: string): string => readFileSync(join(import.meta.dirname, file), 'utf8');

function toRecord(file: string): ChannelRecord {
  const { objects, mistakes } = parseManifests(read(file), file);
  expect(mistakes).toEqual([]);
  const found = objects.map(({ object }) => object).find(({ kind }) => kind === 'Channel') as Channel;
  const channel = { ...found, metadata: { namespace: 'default', uid: 'u', generation: 1, ...found.metadata } } as Channel;
  const credentials = (channel.spec.auth?.apiKeys ?? []).map(({ name }) => ({
    name: name ?? 'main',
    weight: 1,
    secret: new Secret('of-the-account'),
  }));
  const baseUrl = channel.spec.baseURL ?? '';
  return toChannelRecord({ channel, provider: 'OpenAICompatible', baseUrl, credentials, ca: undefined, namespaces: 'All' });
}

interface Expected {
  readonly model: string;
  readonly path: string;
  /** what the provider answers, from recordings in its shape */
  readonly answer: string;
  readonly tokens: number;
  readonly header: readonly [string, string | undefined];
}

const bearer = ['authorization', 'Bearer of-the-account'] as const;
const expectations: Readonly<Record<string, Expected>> = {
  'groq.yaml': { model: 'llama-3.3-70b-versatile', path: '/openai/v1', answer: 'groq', tokens: 42, header: bearer },
  'mistral.yaml': { model: 'mistral-small-latest', path: '/v1', answer: 'mistral', tokens: 20, header: bearer },
  'deepseek.yaml': { model: 'deepseek-reasoner', path: '/v1', answer: 'deepseek', tokens: 329, header: bearer },
  'openrouter.yaml': { model: 'meta-llama/llama-3.3-70b-instruct', path: '/api/v1', answer: 'openrouter', tokens: 17, header: bearer },
  'together.yaml': { model: 'meta-llama/Llama-3.3-70B-Instruct-Turbo', path: '/v1', answer: 'together', tokens: 39, header: bearer },
  'gemini-compatible.yaml': { model: 'gemini-2.5-flash', path: '/v1beta/openai', answer: 'gemini', tokens: 62, header: bearer },
  'anthropic-compatible.yaml': { model: 'claude-sonnet-4-5', path: '/v1', answer: 'anthropic', tokens: 16, header: bearer },
  'ollama.yaml': { model: 'llama3.2', path: '/v1', answer: 'ollama', tokens: 29, header: ['authorization', undefined] },
  'vllm.yaml': {
    model: 'meta-llama/Llama-3.1-8B-Instruct',
    path: '/v1',
    answer: 'vllm-running-totals',
    tokens: 15,
    header: ['x-gateway-key', 'of-the-account'],
  },
};

describe('the examples of providers that speak OpenAI’s language', () => {
  const start = useOneChannel();

  it('are all tried', () => expect(Object.keys(expectations).toSorted()).toEqual(files.toSorted()));

  it.each(Object.entries(expectations))('%s carries a stream and its usage', async (file, { model, path, answer, tokens, header }) => {
    const record = toRecord(file);
    const stream = readFileSync(join(import.meta.dirname, `../../proxy/dialects/testdata/compatible-${answer}.sse`));
    // the provider's own path, on a server of the test
    const { baseUrl, ...channel } = record;
    const scene = await start((_request, response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(stream), {
      channel,
      basePath: new URL(baseUrl).pathname.replace(/\/$/, ''),
    });
    const response = await scene.post('/v1/chat/completions', { model, stream: true, messages: [{ role: 'user', content: 'Hello' }] });
    expect(response.status).toBe(200);
    await response.text();
    expect(scene.upstream.requests[0]?.url).toBe(`${path}/chat/completions`);
    expect(JSON.parse(scene.upstream.requests[0]?.body ?? '')).toMatchObject({ model, stream: true });
    const [name, value] = header;
    expect(scene.upstream.requests[0]?.headers[name]).toBe(value);
    expect(scene.proxy.counters.settlements).toEqual([expect.objectContaining({ tokens })]);
  });

  it('ask for usage where that is understood', () => {
    const unasked = files.filter((file) => tellsUsageUnasked(toRecord(file).baseUrl));
    expect(unasked).toEqual(['mistral.yaml']);
  });

  it('have nothing to complain about', async () => {
    const lines: string[] = [];
    const output = { print: (line: string) => void lines.push(line), complain: (line: string) => void lines.push(line) };
    expect([await runLint(['-f', import.meta.dirname], output), lines.at(-1)]).toEqual([0, expect.stringMatching(/ 0 mistakes/)]);
  });
});
