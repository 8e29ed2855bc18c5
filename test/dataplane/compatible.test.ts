import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, untilHolds } from '../support/eventually.ts';
import { type FakeBehaviour, type Gateway, hello, startGateway } from './gateway.ts';

const examples = join(import.meta.dirname, '../../examples/compatible');
const recordings = join(import.meta.dirname, '../../proxy/dialects/testdata');
const files = readdirSync(examples).filter((name) => name.endsWith('.yaml'));

interface Provider {
  readonly model: string;
  /** of the provider's own base URL */
  readonly path: string;
  readonly recording: string;
  /** input and output of the recorded stream */
  readonly tokens: number;
  readonly header: 'authorization' | 'x-gateway-key' | undefined;
}

const providers: Readonly<Record<string, Provider>> = {
  anthropic: { model: 'claude-sonnet-4-5', path: '/v1', recording: 'anthropic', tokens: 16, header: 'authorization' },
  deepseek: { model: 'deepseek-reasoner', path: '/v1', recording: 'deepseek', tokens: 329, header: 'authorization' },
  gemini: { model: 'gemini-2.5-flash', path: '/v1beta/openai', recording: 'gemini', tokens: 62, header: 'authorization' },
  groq: { model: 'llama-3.3-70b-versatile', path: '/openai/v1', recording: 'groq', tokens: 42, header: 'authorization' },
  mistral: { model: 'mistral-small-latest', path: '/v1', recording: 'mistral', tokens: 20, header: 'authorization' },
  ollama: { model: 'llama3.2', path: '/v1', recording: 'ollama', tokens: 29, header: undefined },
  openrouter: { model: 'meta-llama/llama-3.3-70b-instruct', path: '/api/v1', recording: 'openrouter', tokens: 17, header: 'authorization' },
  together: { model: 'meta-llama/Llama-3.3-70B-Instruct-Turbo', path: '/v1', recording: 'together', tokens: 39, header: 'authorization' },
  vllm: { model: 'meta-llama/Llama-3.1-8B-Instruct', path: '/v1', recording: 'vllm-running-totals', tokens: 15, header: 'x-gateway-key' },
};
const nameOf = (file: string): string => file.replace(/(-compatible)?\.yaml$/, '');

/** Each answers as it was recorded, and has only what it has: a stream where one was asked for. */
const behaviour: FakeBehaviour = ({ json }) => {
  const { model, stream } = json as { model: string; stream?: boolean };
  const found = Object.values(providers).find((provider) => provider.model === model);
  if (found === undefined) return { status: 404, body: { error: { message: 'no such model', code: 'model_not_found' } } };
  if (stream !== true)
    return { headers: { 'content-type': 'application/json' }, body: readFileSync(join(recordings, 'openai-chat.json'), 'utf8') };
  const body = readFileSync(join(recordings, `compatible-${found.recording}.sse`), 'utf8');
  return { headers: { 'content-type': 'text/event-stream' }, body };
};

let gateway: Gateway;
let key: string;

beforeAll(async () => {
  const manifests = 'apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: { name: app }\nspec: { limits: { tpm: 1000000 } }\n';
  gateway = await startGateway({ behaviour, manifests: () => manifests });
  key = await gateway.key('app');
});
afterAll(() => gateway.stop());

/** The example as it stands but for the provider's address, which is that of the fake, without TLS. */
function toManifest(file: string, secret: string): string {
  return readFileSync(join(examples, file), 'utf8')
    .replace(/baseURL: https?:\/\/[^/\s]+(\S*)/, `baseURL: ${gateway.provider.address}$1`)
    .replaceAll('replace-me', secret)
    .replace(/\n {2}tls:.*(\n {4}.*)*/, '')
    .replace('\nspec:\n', '\nspec:\n  tls: { allowPlaintext: true }\n');
}

async function chat(model: string, stream: boolean): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${gateway.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, stream, messages: hello }),
  });
  return { status: answer.status, text: await answer.text() };
}

describe('one more provider is a manifest, while the gateway runs', () => {
  it('of which all examples are tried', () => expect(files.map(nameOf).toSorted()).toEqual(Object.keys(providers).toSorted()));

  it.each(files)('%s', async (file) => {
    const name = nameOf(file);
    const provider = providers[name];
    if (provider === undefined) throw new Error(`nothing is known of ${name}`);
    const secret = `of-the-account-${name}`;
    gateway.write(file, toManifest(file, secret));
    const channel = /kind: Channel\nmetadata:\n {2}name: (\S+)/.exec(readFileSync(join(examples, file), 'utf8'))?.[1] ?? '';
    const model = `${channel}/${provider.model}`;
    const seen = gateway.provider.requests.length;
    const whole = await eventually(async () => {
      const answer = await chat(model, false);
      expect(answer.status).toBe(200);
      return answer;
    });
    expect(JSON.parse(whole.text)).toMatchObject({ object: 'chat.completion' });
    const streamed = await chat(model, true);
    expect(streamed).toMatchObject({ status: 200, text: expect.stringContaining('data: ') });
    const requests = gateway.provider.requests.slice(seen);
    expect(requests).toHaveLength(2);
    for (const { path, headers, json } of requests) {
      expect(path).toBe(`${provider.path}/chat/completions`);
      expect(json).toMatchObject({ model: provider.model });
      for (const header of ['authorization', 'x-gateway-key'] as const) {
        const expected = header === 'authorization' ? `Bearer ${secret}` : secret;
        expect(headers[header]).toBe(header === provider.header ? expected : undefined);
      }
    }
    await untilHolds(() => {
      const [first, second] = gateway.accessLines('app').slice(-2);
      expect(first).toMatchObject({ channel: `default/${channel}`, status: 200, stream: false });
      expect(second).toMatchObject({ channel: `default/${channel}`, status: 200 });
      expect(Number(second?.['input_tokens']) + Number(second?.['output_tokens'])).toBe(provider.tokens);
    });
  });
});
