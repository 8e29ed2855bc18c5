import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anthropicDriver } from './anthropic.ts';
import type { Body, DialectDriver, RequestShape, Surface } from './dialect.ts';
import { openaiDriver } from './openai.ts';

const drivers = [openaiDriver, anthropicDriver];

function surfaceOf(driver: DialectDriver, operation: Surface['operation']): Surface {
  const surface = driver.surfaces.find((each) => each.operation === operation);
  if (surface === undefined) throw new Error(`no surface for ${operation}`);
  return surface;
}
const chat = surfaceOf(openaiDriver, 'chat');
const embeddings = surfaceOf(openaiDriver, 'embeddings');
const messages = surfaceOf(anthropicDriver, 'chat');

function shapeOf(driver: DialectDriver, body: Body, surface: Surface): RequestShape {
  const parsed = driver.parseShape(body, surface);
  if ('refusal' in parsed) throw new Error(parsed.refusal.message);
  return parsed.shape;
}

describe('the surfaces', () => {
  it('are those of the documentation', () => {
    const lines = drivers.flatMap(({ surfaces }) =>
      surfaces.map(({ method, path, scope, metered }) => `${method} ${path} ${scope}${metered ? ' metered' : ''}`),
    );
    expect(lines).toEqual([
      'POST /v1/chat/completions chat metered',
      'POST /v1/embeddings embeddings metered',
      'GET /v1/models read',
      'GET /v1/models/:model read',
      'POST /v1/messages chat metered',
      'POST /v1/messages/count_tokens chat',
      'POST /anthropic/v1/messages chat metered',
      'POST /anthropic/v1/messages/count_tokens chat',
      'GET /anthropic/v1/models read',
      'GET /anthropic/v1/models/:model read',
    ]);
  });

  it('have one path each, and upstream paths without parameters', () => {
    const all = drivers.flatMap(({ surfaces }) => surfaces);
    expect(new Set(all.map(({ method, path }) => `${method} ${path}`)).size).toBe(all.length);
    for (const { upstreamPath } of all) expect(upstreamPath).toMatch(/^\/v1(\/[a-z_]+)+$/);
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
    expect(shapeOf(openaiDriver, { model: 'gpt-4o', ...body }, chat)).toMatchObject({ model: 'gpt-4o', ...expected }),
  );

  it('for embeddings has no output', () => {
    expect(shapeOf(openaiDriver, { model: 'e', input: 'x', stream: true, max_tokens: 9 }, embeddings)).toMatchObject({
      stream: false,
      maxOutputTokens: 0,
    });
  });
});

describe('the shape of an Anthropic request', () => {
  it('has its model, stream and maximum, and what its tools name', () => {
    const body = { model: 'claude-sonnet-4-5', max_tokens: 64, stream: true, tools: [{ type: 'advisor', model: 'claude-opus-4-1' }] };
    expect(shapeOf(anthropicDriver, body, messages)).toEqual({
      model: 'claude-sonnet-4-5',
      otherModels: ['claude-opus-4-1'],
      stream: true,
      maxOutputTokens: 64,
      choices: 1,
      asksUsage: true,
    });
    expect(shapeOf(anthropicDriver, body, surfaceOf(anthropicDriver, 'count_tokens'))).toMatchObject({ stream: false, maxOutputTokens: 0 });
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
      [openaiDriver, chat],
      [openaiDriver, embeddings],
      [anthropicDriver, messages],
    ] as const) {
      expect(driver.parseShape({ model }, surface)).toMatchObject({ refusal: { code: 'invalid_request', param: 'model' } });
      expect(driver.parseShape({ model: 'ok', models: [model] }, surface)).toMatchObject({ refusal: { param: 'models' } });
      expect(driver.parseShape({ model: 'ok', tools: [{ model }] }, surface)).toMatchObject({ refusal: { param: 'tools' } });
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
    expect(openaiDriver.parseShape(body, chat)).toMatchObject({ refusal: { code: 'invalid_request', param } });
  });

  it.each([
    [{ model: 'a', stream: 'yes' }, 'stream'],
    [{ model: 'a', max_tokens: 0.5 }, 'max_tokens'],
    [{ model: 'a', Max_Tokens: 5 }, 'Max_Tokens'],
  ])('by the driver of Anthropic for %o, naming %s', (body, param) => {
    expect(anthropicDriver.parseShape(body, messages)).toMatchObject({ refusal: { code: 'invalid_request', param } });
  });

  it('or has a shape; nothing is thrown', () => {
    const fields = ['model', 'models', 'tools', 'stream', 'stream_options', 'n', 'max_tokens', '__proto__'];
    const bodies = fc.dictionary(fc.oneof(fc.constantFrom(...fields), fc.string()), fc.jsonValue());
    fc.assert(
      fc.property(bodies, fc.constantFrom(...drivers), (body, driver) => {
        for (const surface of driver.surfaces) expect(Object.keys(driver.parseShape(body, surface))).toHaveLength(1);
      }),
    );
  });

  it('but names that providers use are taken', () => {
    for (const model of ['gpt-4o', 'meta-llama/Llama-3.1-8B', 'ft:gpt-4o:acme::x', '@cf/meta/llama-3', 'a..b', 'claude-3-5@20240620']) {
      expect(shapeOf(openaiDriver, { model }, chat).model).toBe(model);
    }
  });
});

describe('what is spliced', () => {
  const splice = (driver: DialectDriver, surface: Surface, body: Body, upstreamModel: string | undefined): unknown =>
    driver.spliceFor({ surface, shape: shapeOf(driver, body, surface), body, upstreamModel });

  it('is the model where the provider calls it otherwise', () => {
    expect(splice(openaiDriver, chat, { model: 'a' }, 'a')).toEqual([]);
    expect(splice(openaiDriver, chat, { model: 'a' }, 'b"c')).toEqual([{ field: 'model', json: '"b\\"c"' }]);
    expect(splice(anthropicDriver, messages, { model: 'a', stream: true }, 'b')).toEqual([{ field: 'model', json: '"b"' }]);
    expect(splice(anthropicDriver, messages, { model: 'a', stream: true }, undefined)).toEqual([]);
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
    const splices = openaiDriver.spliceFor({ surface: chat, shape: shapeOf(openaiDriver, given, chat), body: given, upstreamModel: 'a' });
    expect(splices.map(({ field, json }) => [field, JSON.parse(json)])).toEqual(
      expected === undefined ? [] : [['stream_options', expected]],
    );
    expect(openaiDriver.withholdsUsage(chat, shapeOf(openaiDriver, given, chat))).toBe(expected !== undefined);
  });

  it('is nothing of that for embeddings', () => {
    expect(splice(openaiDriver, embeddings, { model: 'a', stream: true }, 'a')).toEqual([]);
  });
});
