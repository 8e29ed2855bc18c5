import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messagesDriver } from './anthropic/messages.ts';
import type { Body, RequestShape, Surface, SurfaceDriver } from './dialect.ts';
import { endpoints } from './endpoints.ts';
import { chatCompletionsDriver } from './openai/chat-completions.ts';
import { embeddingsDriver } from './openai/embeddings.ts';

const chat = surfaceOf(chatCompletionsDriver);
const embeddings = surfaceOf(embeddingsDriver);
const messages = surfaceOf(messagesDriver);

function surfaceOf({ surfaces }: SurfaceDriver, name?: string): Surface {
  const surface = surfaces.find((each) => name === undefined || each.name === name);
  if (surface === undefined) throw new Error('a driver without a surface');
  return surface;
}

function shapeOf(driver: SurfaceDriver, body: Body, surface: Surface): RequestShape {
  const parsed = driver.parseShape(body, surface, {});
  if ('refusal' in parsed) throw new Error(parsed.refusal.message);
  return parsed.shape;
}

const toGeminiLines = (line: string): string[] =>
  ['/v1beta', '/v1', '/gemini/v1beta', '/gemini/v1'].map((root) => `POST ${root}/models/:model:${line}`);

const ofOpenAI = [
  'POST /v1/chat/completions chat metered',
  'POST /v1/completions chat metered',
  'POST /v1/responses chat metered',
  'GET /v1/responses/:id chat',
  'DELETE /v1/responses/:id chat',
  'POST /v1/responses/:id/cancel chat',
  'GET /v1/responses/:id/input_items chat',
  'POST /v1/embeddings embeddings metered',
  'POST /v1/moderations chat metered',
  'POST /v1/images/generations images metered',
  'POST /v1/images/edits images metered',
  'POST /v1/images/variations images metered',
  'POST /v1/audio/speech audio metered',
  'POST /v1/audio/transcriptions audio metered',
  'POST /v1/audio/translations audio metered',
  'GET /v1/models read',
  'GET /v1/models/:model read',
];
const deployed = /^POST \/v1\/(chat\/completions|completions|embeddings|images\/(generations|edits)|audio\/\w+) /;
const toAzureLines = (line: string): string[] => [
  line.replace('/v1/', '/openai/v1/'),
  ...(line.includes('/v1/responses') ? [line.replace('/v1/', '/openai/')] : []),
  ...(deployed.test(line) ? [line.replace('/v1/', '/openai/deployments/:deployment/')] : []),
];

describe('the surfaces', () => {
  it('are those of the documentation', () => {
    const lines = endpoints.map(
      ({ surface: { method, path, verb, scope, metered } }) =>
        `${method} ${path}${verb === undefined ? '' : `:${verb}`} ${scope}${metered ? ' metered' : ''}`,
    );
    expect(lines).toEqual([
      ...ofOpenAI,
      ...ofOpenAI.flatMap(toAzureLines),
      'POST /v1/messages chat metered',
      'POST /v1/messages/count_tokens chat',
      'POST /anthropic/v1/messages chat metered',
      'POST /anthropic/v1/messages/count_tokens chat',
      'GET /anthropic/v1/models read',
      'GET /anthropic/v1/models/:model read',
      ...['generateContent chat metered', 'streamGenerateContent chat metered', 'countTokens chat'].flatMap(toGeminiLines),
      ...['embedContent embeddings metered', 'batchEmbedContents embeddings metered'].flatMap(toGeminiLines),
      ...['/v1beta', '/gemini/v1beta', '/gemini/v1'].flatMap((root) => [`GET ${root}/models read`, `GET ${root}/models/:model read`]),
    ]);
  });

  it('have one path each; an upstream path holds no parameter but the model and what its own path names', () => {
    expect(new Set(endpoints.map(({ surface: { method, path, verb } }) => `${method} ${path} ${verb}`)).size).toBe(endpoints.length);
    for (const { surface, driver } of endpoints) {
      if (driver === undefined) expect(surface.upstreamPath).toBe('');
      else expect(surface.upstreamPath).toMatch(/^\/v1(beta)?(\/([a-z_]+|\{\w+\}))+(:[A-Za-z]+)?$/);
      for (const [, name] of surface.upstreamPath.matchAll(/\{(\w+)\}/g))
        expect(name === 'model' || surface.path.includes(`:${name}`)).toBe(true);
    }
  });
});

describe('the shape of an OpenAI request', () => {
  it.each([
    ['nothing else', {}, { stream: false, maxOutputTokens: undefined, choices: 1, asksUsage: false, otherModels: [] }],
    ['a stream', { stream: true }, { stream: true, asksUsage: false }],
    ['a stream with usage', { stream: true, stream_options: { include_usage: true } }, { stream: true, asksUsage: true }],
    [
      'nulls',
      { stream: null, n: null, max_tokens: null, tools: null, stream_options: null },
      { stream: false, choices: 1, maxOutputTokens: undefined },
    ],
    ['both maximums', { max_tokens: 10, max_completion_tokens: 30, n: 4 }, { maxOutputTokens: 30, choices: 4 }],
    ['a maximum of 0, which bounds nothing', { max_tokens: 0 }, { maxOutputTokens: undefined }],
    ['a maximum of 0 beside another', { max_tokens: 5, max_completion_tokens: 0 }, { maxOutputTokens: undefined }],
    [
      'other models',
      { models: ['o3', 'o4'], tools: [{ type: 'x', model: 'dall-e' }, { type: 'function' }, { model: 'o3' }] },
      { otherModels: ['o3', 'o4', 'dall-e'] },
    ],
  ])('with %s', (_what, body, expected) =>
    expect(shapeOf(chatCompletionsDriver, { model: 'gpt-4o', ...body }, chat)).toMatchObject({ model: 'gpt-4o', ...expected }),
  );

  it('for embeddings has no output', () => {
    expect(shapeOf(embeddingsDriver, { model: 'e', input: 'x', stream: true, max_tokens: 9 }, embeddings)).toMatchObject({
      stream: false,
      maxOutputTokens: 0,
    });
  });
});

describe('the shape of an Anthropic request', () => {
  it('has its model, stream and maximum, and what its tools name', () => {
    const body = { model: 'claude-sonnet-4-5', max_tokens: 64, stream: true, tools: [{ type: 'advisor', model: 'claude-opus-4-1' }] };
    expect(shapeOf(messagesDriver, body, messages)).toEqual({
      model: 'claude-sonnet-4-5',
      otherModels: ['claude-opus-4-1'],
      stream: true,
      maxOutputTokens: 64,
      choices: 1,
      asksUsage: true,
    });
    expect(shapeOf(messagesDriver, body, surfaceOf(messagesDriver, 'count_tokens'))).toMatchObject({ stream: false, maxOutputTokens: 0 });
  });
});

describe('a body is refused', () => {
  const names = [
    '',
    '.',
    '..',
    'a/../b',
    'a/./b',
    '/a',
    'a/',
    'a//b',
    'a b',
    'gpt-*',
    'gpt-?',
    'a\n',
    'a%2fb',
    'ä',
    'x'.repeat(129),
    5,
    true,
    [],
    ['gpt-4o'],
    {},
  ];
  it.each(names)('for the model %o, in each dialect', (model) => {
    for (const [driver, surface] of [
      [chatCompletionsDriver, chat],
      [embeddingsDriver, embeddings],
      [messagesDriver, messages],
    ] as const) {
      expect(driver.parseShape({ model }, surface, {})).toMatchObject({ refusal: { code: 'invalid_request', param: 'model' } });
      expect(driver.parseShape({ model: 'ok', models: [model] }, surface, {})).toMatchObject({ refusal: { param: 'models' } });
      expect(driver.parseShape({ model: 'ok', tools: [{ model }] }, surface, {})).toMatchObject({ refusal: { param: 'tools' } });
    }
  });

  it.each([
    [{}, 'model'],
    [{ model: null }, 'model'],
    [{ model: 'a', models: 'b' }, 'models'],
    [{ model: 'a', tools: {} }, 'tools'],
    [{ model: 'a', tools: ['x'] }, 'tools'],
    [{ model: 'a', tools: [{ Model: 'b' }] }, 'tools'],
    [{ model: 'a', stream: 'true' }, 'stream'],
    [{ model: 'a', stream: 1 }, 'stream'],
    [{ model: 'a', stream_options: true }, 'stream_options'],
    [{ model: 'a', stream_options: { include_usage: 'yes' } }, 'stream_options'],
    [{ model: 'a', n: 0 }, 'n'],
    [{ model: 'a', n: 129 }, 'n'],
    [{ model: 'a', n: 1.5 }, 'n'],
    [{ model: 'a', n: '2' }, 'n'],
    [{ model: 'a', max_tokens: -1 }, 'max_tokens'],
    [{ model: 'a', max_tokens: '5' }, 'max_tokens'],
    [{ model: 'a', max_completion_tokens: 1e300 }, 'max_completion_tokens'],
    [{ model: 'a', MODEL: 'b' }, 'MODEL'],
    [{ model: 'a', Models: ['b'] }, 'Models'],
    [{ model: 'a', 'model\u017f': ['b'] }, 'model\u017f'],
    [{ model: 'a', '\u017ftream': true }, '\u017ftream'],
  ])('for %o, naming %s', (body, param) => {
    expect(chatCompletionsDriver.parseShape(body, chat, {})).toMatchObject({ refusal: { code: 'invalid_request', param } });
  });

  it.each([
    [{ model: 'a', stream: 'yes' }, 'stream'],
    [{ model: 'a', max_tokens: 0.5 }, 'max_tokens'],
    [{ model: 'a', Max_Tokens: 5 }, 'Max_Tokens'],
  ])('by the driver of Anthropic for %o, naming %s', (body, param) => {
    expect(messagesDriver.parseShape(body, messages, {})).toMatchObject({ refusal: { code: 'invalid_request', param } });
  });

  it('or has a shape; nothing is thrown', () => {
    const fields = ['model', 'models', 'tools', 'stream', 'stream_options', 'n', 'max_tokens', '__proto__'];
    const driven = endpoints.flatMap(({ surface, driver }) => (driver === undefined ? [] : [{ surface, driver }]));
    const bodies = fc.dictionary(fc.oneof(fc.constantFrom(...fields), fc.string()), fc.jsonValue());
    fc.assert(
      fc.property(bodies, fc.constantFrom(...driven), (body, { surface, driver }) => {
        expect(Object.keys(driver.parseShape(body, surface, {}))).toHaveLength(1);
      }),
    );
  });

  it('but names that providers use are taken', () => {
    for (const model of ['gpt-4o', 'meta-llama/Llama-3.1-8B', 'ft:gpt-4o:acme::x', '@cf/meta/llama-3', 'a..b', 'claude-3-5@20240620']) {
      expect(shapeOf(chatCompletionsDriver, { model }, chat).model).toBe(model);
    }
  });
});

describe('what is spliced', () => {
  const splice = (driver: SurfaceDriver, surface: Surface, body: Body, upstreamModel: string | undefined): unknown =>
    driver.spliceFor({ surface, shape: shapeOf(driver, body, surface), body, upstreamModel });

  it('is the model where the provider calls it otherwise', () => {
    expect(splice(chatCompletionsDriver, chat, { model: 'a' }, 'a')).toEqual([]);
    expect(splice(chatCompletionsDriver, chat, { model: 'a' }, 'b"c')).toEqual([{ field: 'model', json: '"b\\"c"' }]);
    expect(splice(messagesDriver, messages, { model: 'a', stream: true }, 'b')).toEqual([{ field: 'model', json: '"b"' }]);
    expect(splice(messagesDriver, messages, { model: 'a', stream: true }, undefined)).toEqual([]);
  });

  it.each([
    [{}, undefined],
    [{ stream: true }, { include_usage: true }],
    [{ stream: true, stream_options: null }, { include_usage: true }],
    [
      { stream: true, stream_options: { include_usage: false, include_obfuscation: false } },
      { include_usage: true, include_obfuscation: false },
    ],
    [{ stream: true, stream_options: { include_usage: true } }, undefined],
    [{ stream: false, stream_options: { include_usage: false } }, undefined],
  ])('is stream_options of a chat with %o: %o', (body, expected) => {
    const given = { model: 'a', ...body };
    const splices = chatCompletionsDriver.spliceFor({
      surface: chat,
      shape: shapeOf(chatCompletionsDriver, given, chat),
      body: given,
      upstreamModel: 'a',
    });
    expect(splices.map(({ field, json }) => [field, JSON.parse(json)])).toEqual(
      expected === undefined ? [] : [['stream_options', expected]],
    );
    expect(chatCompletionsDriver.withholdsUsage(chat, shapeOf(chatCompletionsDriver, given, chat))).toBe(expected !== undefined);
  });

  it('is nothing of that for embeddings', () => {
    expect(splice(embeddingsDriver, embeddings, { model: 'a', stream: true }, 'a')).toEqual([]);
  });
});
