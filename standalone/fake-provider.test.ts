import { once } from 'node:events';
import { connect } from 'node:net';
import { GoogleGenAI } from '@google/genai';
import Anthropic, { RateLimitError as AnthropicRateLimitError } from '@anthropic-ai/sdk';
import OpenAI, { AuthenticationError, InternalServerError, RateLimitError } from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { type FakeProvider, startFakeProvider } from './fake-provider.ts';
import { type Behaviour, fakeUsage } from './fake-provider/behaviour.ts';

let provider: FakeProvider | undefined;

afterEach(async () => {
  await provider?.close();
  provider = undefined;
});

async function start(behaviour?: Behaviour): Promise<{ provider: FakeProvider; openai: OpenAI; anthropic: Anthropic }> {
  const started = await startFakeProvider({ listen: { host: '127.0.0.1', port: 0 }, ...(behaviour === undefined ? {} : { behaviour }) });
  provider = started;
  return {
    provider: started,
    openai: new OpenAI({ baseURL: `${started.address}/v1`, apiKey: 'sk-real', maxRetries: 0 }),
    anthropic: new Anthropic({ baseURL: started.address, apiKey: 'sk-real', maxRetries: 0 }),
  };
}

const messages = [{ role: 'user' as const, content: 'Hello' }];
const text = 'Hello from the built-in fake provider: every answer has these same words.';

describe('OpenAI, read by the official SDK', () => {
  it('answers a completion', async () => {
    const { openai } = await start();
    const completion = await openai.chat.completions.create({ model: 'gpt-4o-mini', messages });
    expect(completion).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-/),
      object: 'chat.completion',
      model: 'gpt-4o-mini',
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: text } }],
      usage: { prompt_tokens: fakeUsage.input, completion_tokens: fakeUsage.output, total_tokens: fakeUsage.input + fakeUsage.output },
    });
  });

  it('streams word by word, without usage unless asked', async () => {
    const { openai } = await start();
    const chunks = await Array.fromAsync(await openai.chat.completions.create({ model: 'gpt-4o', messages, stream: true }));
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(text);
    expect(chunks.length).toBe(text.split(' ').length + 2);
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.every((chunk) => !('usage' in chunk))).toBe(true);
  });

  it('streams usage in a last chunk without choices when asked', async () => {
    const { openai } = await start(() => ({ usage: { input: 100, output: 50, cachedInput: 30, reasoning: 20 }, chunks: ['a', 'b'] }));
    const chunks = await Array.fromAsync(
      await openai.chat.completions.create({ model: 'gpt-4o', messages, stream: true, stream_options: { include_usage: true } }),
    );
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: {
        prompt_tokens: 100,
        completion_tokens: 50,
        prompt_tokens_details: { cached_tokens: 30 },
        completion_tokens_details: { reasoning_tokens: 20 },
      },
    });
  });

  it('gives n choices, whole and streamed', async () => {
    const { openai } = await start();
    const whole = await openai.chat.completions.create({ model: 'gpt-4o', messages, n: 2 });
    expect(whole.choices.map((choice) => choice.index)).toEqual([0, 1]);
    const chunks = await Array.fromAsync(await openai.chat.completions.create({ model: 'gpt-4o', messages, n: 2, stream: true }));
    expect(new Set(chunks.map((chunk) => chunk.choices[0]?.index))).toEqual(new Set([0, 1]));
  });

  it('embeds, as base64 (what the SDK asks for) and as numbers', async () => {
    const { openai } = await start();
    const embeddings = await openai.embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two'] });
    expect(embeddings.data.map(({ index, embedding }) => [index, embedding.length])).toEqual([
      [0, 1536],
      [1, 1536],
    ]);
    expect(embeddings.usage).toEqual({ prompt_tokens: fakeUsage.input, total_tokens: fakeUsage.input });
    const small = await openai.embeddings.create({
      model: 'text-embedding-3-small',
      input: 'one',
      dimensions: 8,
      encoding_format: 'float',
    });
    expect(small.data[0]?.embedding).toEqual(embeddings.data[0]?.embedding.slice(0, 8));
  });

  it('lists and reads models', async () => {
    const { openai } = await start();
    const list = await Array.fromAsync(openai.models.list());
    expect(list.map((model) => model.id)).toContain('gpt-4o-mini');
    expect(await openai.models.retrieve('gpt-4o')).toMatchObject({ id: 'gpt-4o', object: 'model' });
  });

  it('refuses as told, with the exception classes of the SDK', async () => {
    let answer: ReturnType<Behaviour> = { requireCredential: 'sk-other' };
    const { openai } = await start(() => answer);
    const call = (): Promise<unknown> => openai.chat.completions.create({ model: 'gpt-4o', messages });
    await expect(call()).rejects.toBeInstanceOf(AuthenticationError);
    answer = { requireCredential: 'sk-real', status: 429, headers: { 'retry-after': '7' } };
    await expect(call()).rejects.toBeInstanceOf(RateLimitError);
    await expect(call()).rejects.toMatchObject({ headers: expect.objectContaining({}), code: 'rate_limit_exceeded' });
    answer = { status: 500, body: 'not json' };
    await expect(call()).rejects.toBeInstanceOf(InternalServerError);
  });
});

describe('Gemini, read by the official SDK', () => {
  const contents = 'Hello';
  const makeClient = (fake: FakeProvider): GoogleGenAI => new GoogleGenAI({ apiKey: 'real', httpOptions: { baseUrl: fake.address } });

  it('generates whole and in a stream, with thoughts beside the candidates', async () => {
    const { provider: fake } = await start(() => ({
      usage: { input: 100, output: 90, cachedInput: 60, reasoning: 50 },
      chunks: ['a', 'b'],
    }));
    const expected = {
      promptTokenCount: 100,
      candidatesTokenCount: 40,
      thoughtsTokenCount: 50,
      cachedContentTokenCount: 60,
      totalTokenCount: 190,
    };
    const whole = await makeClient(fake).models.generateContent({ model: 'gemini-2.5-flash', contents });
    expect([whole.text, whole.usageMetadata]).toEqual(['ab', expect.objectContaining(expected)]);
    const chunks = await Array.fromAsync(await makeClient(fake).models.generateContentStream({ model: 'gemini-2.5-flash', contents }));
    expect(chunks.map(({ text }) => text)).toEqual(['a', 'b']);
    expect(chunks.at(-1)?.usageMetadata).toMatchObject(expected);
  });

  it('streams a list without alt=sse', async () => {
    const { provider: fake } = await start(() => ({ chunks: 3 }));
    const response = await fetch(`${fake.address}/v1beta/models/m:streamGenerateContent`, { method: 'POST', body: '{}' });
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(await response.json()).toHaveLength(3);
  });

  it('refuses as told', async () => {
    const { provider: full } = await start(() => ({ status: 429 }));
    await expect(makeClient(full).models.generateContent({ model: 'm', contents })).rejects.toMatchObject({ status: 429 });
  });

  it('counts and embeds', async () => {
    const { provider: fake } = await start();
    const client = makeClient(fake);
    expect((await client.models.countTokens({ model: 'm', contents })).totalTokens).toBe(fakeUsage.input);
    expect((await client.models.embedContent({ model: 'gemini-embedding-001', contents: ['a', 'b'] })).embeddings).toHaveLength(2);
  });
});

describe('Anthropic, read by the official SDK', () => {
  it('answers a message', async () => {
    const { anthropic } = await start(() => ({ usage: { input: 100, output: 9, cachedInput: 60, cacheWrite: 10 } }));
    const message = await anthropic.messages.create({ model: 'claude-sonnet-4-5', max_tokens: 64, messages });
    expect(message).toMatchObject({
      type: 'message',
      role: 'assistant',
      model: 'claude-sonnet-4-5',
      content: [{ type: 'text', text }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 30, cache_read_input_tokens: 60, cache_creation_input_tokens: 10, output_tokens: 9 },
    });
  });

  it('streams the events in the documented order', async () => {
    const { anthropic, provider: fake } = await start();
    const stream = anthropic.messages.stream({ model: 'claude-sonnet-4-5', max_tokens: 64, messages });
    const final = await stream.finalMessage();
    expect(final.content[0]).toMatchObject({ type: 'text', text });
    expect(final.usage).toMatchObject({ input_tokens: fakeUsage.input, output_tokens: fakeUsage.output });

    const answer = await fetch(`${fake.address}/v1/messages`, {
      method: 'POST',
      body: JSON.stringify({ model: 'claude-sonnet-4-5', max_tokens: 64, messages, stream: true }),
    });
    const names = [...(await answer.text()).matchAll(/^event: (.*)$/gm)].map((match) => match[1]);
    expect(names.filter((name, position) => name !== names[position - 1])).toEqual([
      'message_start',
      'content_block_start',
      'ping',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
  });

  it('counts tokens and lists models', async () => {
    const { anthropic } = await start();
    expect(await anthropic.messages.countTokens({ model: 'claude-sonnet-4-5', messages })).toMatchObject({ input_tokens: fakeUsage.input });
    const list = await Array.fromAsync(anthropic.models.list());
    expect(list.map((model) => model.id)).toContain('claude-sonnet-4-5');
  });

  it('refuses as told, with the exception classes of the SDK', async () => {
    const { anthropic } = await start(() => ({ status: 429 }));
    const refused = anthropic.messages.create({ model: 'claude-sonnet-4-5', max_tokens: 64, messages });
    await expect(refused).rejects.toBeInstanceOf(AnthropicRateLimitError);
    await expect(refused).rejects.toMatchObject({ type: 'rate_limit_error' });
  });
});

describe('behaviour', () => {
  it('breaks the connection before the headers or in the middle', async () => {
    let failAt: 'beforeHeaders' | 'midStream' = 'beforeHeaders';
    const { openai, anthropic } = await start(() => ({ failAt }));
    await expect(openai.chat.completions.create({ model: 'gpt-4o', messages })).rejects.toThrow(/connection/i);
    failAt = 'midStream';
    const seen: string[] = [];
    const read = async (): Promise<void> => {
      for await (const event of await anthropic.messages.create({ model: 'claude-sonnet-4-5', max_tokens: 9, messages, stream: true }))
        seen.push(event.type);
    };
    await expect(read()).rejects.toThrow();
    expect(seen[0]).toBe('message_start');
    expect(seen).not.toContain('message_stop');
    await expect(openai.chat.completions.create({ model: 'gpt-4o', messages })).rejects.toThrow();
  });

  it('records requests and sees a client that goes away', async () => {
    const { provider: fake } = await start(() => ({ chunks: 100, chunkDelayMs: 5 }));
    const socket = connect(Number(new URL(fake.address).port), '127.0.0.1');
    const body = JSON.stringify({ model: 'gpt-4o', messages, stream: true });
    socket.write(`POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: fake\r\nX-One: 1\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await once(socket, 'data');
    expect(fake.requests).toMatchObject([
      { method: 'POST', path: '/v1/chat/completions?x=1', headers: { 'x-one': '1' }, body, json: { stream: true }, aborted: false },
    ]);
    socket.destroy();
    await expect.poll(() => fake.requests[0]?.aborted).toBe(true);
  });

  it.each([
    ['GET', '/v1/nothing', undefined, 404],
    ['POST', '/v1/chat/completions', '{', 400],
    ['POST', '/v1/messages', '{}', 400],
    ['POST', '/v1/messages', '{"model":"claude-sonnet-4-5"}', 400],
  ])('%s %s with %s answers %i', async (method, path, body, status) => {
    const { provider: fake } = await start();
    const answer = await fetch(`${fake.address}${path}`, { method, ...(body === undefined ? {} : { body }) });
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ error: { message: expect.any(String) } });
  });
});
