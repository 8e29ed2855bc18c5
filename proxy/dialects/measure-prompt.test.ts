import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { estimateInputTokens, type Prompt } from '../../core/estimate.ts';
import { scanJson } from '../bodies/json-scan.ts';
import { messagesDriver } from './anthropic/messages.ts';
import type { SurfaceDriver } from './dialect.ts';
import { chatCompletionsDriver } from './openai/chat-completions.ts';
import { embeddingsDriver } from './openai/embeddings.ts';

function measure(driver: SurfaceDriver, body: unknown): Prompt {
  const scan = scanJson(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
  const surface = driver.surfaces[0];
  if (!scan.ok || surface === undefined) throw new Error('the test is wrong');
  return driver.measure(scan.body, surface);
}
const chat = (body: unknown): Prompt => measure(chatCompletionsDriver, body);
const messages = (body: unknown): Prompt => measure(messagesDriver, body);
const embeddings = (input: unknown): Prompt => measure(embeddingsDriver, { model: 'text-embedding-3-small', input });
const user = (...content: unknown[]): object => ({ model: 'm', messages: [{ role: 'user', content }] });
const base64 = (bytes: number): string => Buffer.alloc(bytes).toString('base64');
const none = { images: 0, audios: 0, audioBytes: 0, files: 0, fileBytes: 0 };

describe('text', () => {
  it('is messages, tools and whatever else a model may read, not what steers the request', () => {
    const prompt = '"messages":[{"role":"user","content":"Hello"}],"tools":[{"type":"function"}]';
    const steering =
      '"model":"gpt-4o-mini","n":2,"max_tokens":50,"temperature":0.5,"stream":true,"metadata":{"a":"b"},"logit_bias":{"1":2},"user":"me"';
    const alone = chat(`{${prompt}}`);
    expect(alone).toEqual({ ...none, textBytes: prompt.length + 2, tokens: 0 });
    // only the commas between them stay
    expect(chat(`{${steering},${prompt}}`).textBytes).toBe(alone.textBytes + 8);
    expect(chat(`{${prompt},"documents":["${'x'.repeat(100)}"]}`).textBytes).toBe(alone.textBytes + ',"documents":[""]'.length + 100);
    expect(messages({ system: 'x'.repeat(1000), messages: [] }).textBytes).toBeGreaterThan(1000);
  });

  it('is never less than the text in it, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const wellFormed = text.toWellFormed();
        expect(chat(user({ type: 'text', text: wellFormed })).textBytes).toBeGreaterThanOrEqual(Buffer.byteLength(wellFormed));
      }),
    );
  });

  it('is nested a hundred thousand deep without harm', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect(chat(`{"messages":${deep}}`).textBytes).toBeGreaterThan(200_000);
  });
});

describe('what is no text', () => {
  const small = chat(user()).textBytes;
  it.each<[string, Prompt, Partial<Prompt>]>([
    [
      'an image inside a chat message',
      chat(user({ type: 'image_url', image_url: { url: `data:image/png;base64,${base64(90_000)}` } })),
      { images: 1 },
    ],
    ['an image elsewhere', chat(user({ type: 'image_url', image_url: { url: 'https://a.example/b.png' } })), { images: 1 }],
    [
      'audio inside',
      chat(user({ type: 'input_audio', input_audio: { data: base64(90_000), format: 'wav' } })),
      { audios: 1, audioBytes: 90_000 },
    ],
    ['a file inside', chat(user({ type: 'file', file: { file_data: base64(90_000) } })), { files: 1, fileBytes: 90_000 }],
    ['a stored file', chat(user({ type: 'file', file: { file_id: 'file-1' } })), { files: 1 }],
    ['a video elsewhere', chat(user({ type: 'video_url', video_url: { url: 'https://a.example/b.mp4' } })), { files: 1 }],
    [
      'an image inside a Messages request',
      messages(user({ type: 'image', source: { type: 'base64', media_type: 'image/png', data: base64(90_000) } })),
      { images: 1 },
    ],
    ['an image elsewhere', messages(user({ type: 'image', source: { type: 'url', url: 'https://a.example/b.png' } })), { images: 1 }],
    [
      'a document inside',
      messages(user({ type: 'document', source: { type: 'base64', data: base64(90_000) } })),
      { files: 1, fileBytes: 90_000 },
    ],
    [
      'an image in the result of a tool',
      messages(user({ type: 'tool_result', content: [{ type: 'image', source: { type: 'base64', data: base64(90_000) } }] })),
      { images: 1 },
    ],
    [
      'an image in a document of blocks',
      messages(
        user({
          type: 'document',
          source: { type: 'content', content: [{ type: 'image', source: { type: 'base64', data: base64(90_000) } }] },
        }),
      ),
      { images: 1 },
    ],
  ])('%s', (_what, prompt, expected) => {
    expect(prompt).toMatchObject({ ...none, ...expected });
    expect(prompt.textBytes).toBeLessThan(small + 250);
    expect(estimateInputTokens(prompt)).toBeGreaterThanOrEqual(100);
    expect(estimateInputTokens(prompt)).toBeLessThan(5000);
  });

  it.each<[string, Prompt]>([
    ['a document of text', messages(user({ type: 'document', source: { type: 'text', data: 'x'.repeat(40_000) } }))],
    ['text under the name of an image', chat(user({ type: 'image_url', image_url: { url: 'x'.repeat(40_000) } }))],
    ['text under another type', chat(user({ type: 'text', text: 'x', image_url: { url: `data:${'x'.repeat(40_000)}` } }))],
  ])('%s counts as text', (_what, prompt) => expect(prompt.textBytes).toBeGreaterThan(40_000));

  it('hidden under the name of an image is never free', () => {
    expect(estimateInputTokens(chat(user({ type: 'image_url', image_url: { url: `data:${'x'.repeat(40_000)}` } })))).toBeGreaterThanOrEqual(
      1000,
    );
  });
});

describe('embeddings', () => {
  it.each<[string, unknown, Partial<Prompt>]>([
    ['a text', 'Hello', { textBytes: 5, tokens: 0 }],
    ['texts', ['Hello', 'été'], { textBytes: 10, tokens: 0 }],
    ['tokens', [1, 22, 333_333], { textBytes: 0, tokens: 3 }],
    ['lists of tokens', [[1, 2], [3]], { textBytes: 0, tokens: 3 }],
    ['nothing', undefined, { textBytes: 0, tokens: 0 }],
  ])('%s', (_what, input, expected) => expect(embeddings(input)).toEqual({ ...none, ...expected }));
});
