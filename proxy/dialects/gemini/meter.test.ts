import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Meter, MeterOptions, Surface, SurfaceDriver } from '../dialect.ts';
import { embedDriver } from './embed.ts';
import { generateDriver } from './generate.ts';

const estimatedInputTokens = 33;

const file = (name: string): Buffer => readFileSync(new URL(`../testdata/${name}`, import.meta.url));

function surfaceOf({ surfaces }: SurfaceDriver, name: string): Surface {
  const surface = surfaces.find((each) => each.name === name);
  if (surface === undefined) throw new Error(`no surface ${name}`);
  return surface;
}

const generate = surfaceOf(generateDriver, 'generate_content');
const stream = surfaceOf(generateDriver, 'stream_generate_content');
const counting = surfaceOf(generateDriver, 'count_tokens');
const embed = surfaceOf(embedDriver, 'embed_content');

function meterOf(surface: Surface, options: Partial<MeterOptions> = {}): Meter {
  const driver = surface === embed ? embedDriver : generateDriver;
  return driver.makeMeter({ surface, stream: false, withholdUsage: false, estimatedInputTokens, ...options });
}

const text = { inputTokens: 12, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 46, reasoningTokens: 31 };
const thinking = {
  inputTokens: 2117,
  cachedInputTokens: 1980,
  cacheWriteTokens: 0,
  outputTokens: 54,
  reasoningTokens: 40,
  audioInputTokens: 48,
};
const broken = { ...text, outputTokens: 40 };

const answers = [
  ['gemini-text.sse', stream, text, true],
  ['gemini-text-list.json', stream, text, true],
  ['gemini-thinking-tools.sse', stream, thinking, true],
  ['gemini-thinking-tools-list.json', stream, thinking, true],
  ['gemini-error.sse', stream, broken, true],
  ['gemini-error-list.json', stream, broken, true],
  ['gemini-grounded.json', generate, { inputTokens: 36, outputTokens: 4, webSearches: 2 }, true],
  ['gemini-image.json', generate, { inputTokens: 12, outputTokens: 1295, imageOutputTokens: 1290 }, true],
  ['gemini-blocked.json', generate, { inputTokens: 12, outputTokens: 0 }, true],
  ['gemini-embed.json', embed, { inputTokens: estimatedInputTokens, outputTokens: 0 }, false],
  ['gemini-embed-usage.json', embed, { inputTokens: 9, outputTokens: 0 }, true],
] as const;

describe.each(answers)('%s', (name, surface, usage, exact) => {
  const bytes = file(name);

  const isStream = name.endsWith('.sse');

  /** What has passed after each chunk. */
  function play(chunks: readonly Buffer[]): { readonly meter: Meter; readonly passed: readonly Buffer[] } {
    const meter = meterOf(surface, { stream: isStream });
    const passed = chunks.map((chunk) => Buffer.concat(meter.push(chunk)));
    return { meter, passed: [...passed, Buffer.concat(meter.end())] };
  }

  it('cut at every byte: the usage is found and every chunk passes at once, of a list with its element', () => {
    for (let place = 0; place < bytes.length; place += 1) {
      const chunks = [bytes.subarray(0, place), bytes.subarray(place)];
      const { meter, passed } = play(chunks);
      expect(Buffer.concat(passed).equals(bytes)).toBe(true);
      if (!name.endsWith('-list.json')) expect(passed[0]?.length).toBe(place);
      expect(meter.usage()).toMatchObject({ usage, exact });
    }
  });

  it('byte by byte as well', () => {
    const { meter, passed } = play([...bytes].map((byte) => Buffer.of(byte)));
    expect(Buffer.concat(passed).equals(bytes)).toBe(true);
    expect(meter.usage()).toMatchObject({ usage, exact });
  });
});

const element = (value: object): Buffer => Buffer.from(`data: ${JSON.stringify(value)}\r\n\r\n`);
const saying = (said: string, more: object = {}): object => ({ candidates: [{ content: { parts: [{ text: said }] }, index: 0, ...more }] });

describe('an answer that is broken off', () => {
  it.each(['gemini-text.sse', 'gemini-text-list.json'])('%s: has the usage of its last whole element, and never less than came', (name) => {
    const bytes = file(name);
    for (let place = 0; place < bytes.length; place += 1) {
      const meter = meterOf(stream);
      meter.push(bytes.subarray(0, place));
      const elements = (
        bytes
          .subarray(0, place)
          .toString()
          .match(/made-up-1"\s*\}/g) ?? []
      ).length;
      const known = meter.usage();
      expect(known?.usage.inputTokens).toBe(elements === 0 ? estimatedInputTokens : 12);
      expect(known?.usage.outputTokens).toBeGreaterThanOrEqual([0, 34, 40, 46][elements] ?? 0);
      expect(known?.exact).toBe(elements === 3);
    }
  });

  it('before any usage was told counts what was written, calls of functions too', () => {
    const meter = meterOf(stream);
    meter.push(element(saying('x'.repeat(400))));
    meter.push(element({ candidates: [{ content: { parts: [{ functionCall: { name: 'f', args: { text: 'y'.repeat(400) } } }] } }] }));
    expect(meter.usage()?.exact).toBe(false);
    expect(meter.usage()?.usage.outputTokens).toBeGreaterThanOrEqual(200);
  });

  it('in an object that is not complete counts its bytes, but an image as no novel', () => {
    const whole = meterOf(generate);
    whole.push(Buffer.from(`{"candidates":[{"content":{"parts":[{"text":"${'z'.repeat(4000)}`));
    expect(whole.usage()?.usage.outputTokens).toBeGreaterThanOrEqual(1000);
    const image = meterOf(generate);
    image.push(Buffer.from(`{"candidates":[{"content":{"parts":[{"inlineData":{"data":"${'A'.repeat(3_000_000)}`));
    expect(image.usage()?.usage.outputTokens).toBe(16_384);
  });
});

describe('the last usage', () => {
  it('is not the last word while text comes after it', () => {
    const meter = meterOf(stream);
    meter.push(element({ ...saying('a'), usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 1 } }));
    meter.push(element(saying('b'.repeat(80), { finishReason: 'STOP' })));
    meter.end();
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 5, outputTokens: 21 }, exact: false });
    meter.push(element({ usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 22 } }));
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 5, outputTokens: 22 }, exact: true });
  });

  it('without any output is not believed where output was seen', () => {
    const meter = meterOf(stream);
    meter.push(
      element({ ...saying('c'.repeat(40), { finishReason: 'STOP' }), usageMetadata: { promptTokenCount: 5, totalTokenCount: 5 } }),
    );
    meter.end();
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 5, outputTokens: 10 }, exact: false });
  });

  it('of an element of megabytes is found, wherever it stands in it', () => {
    const usageMetadata = { promptTokenCount: 7, candidatesTokenCount: 1290 };
    const parts = [{ inlineData: { mimeType: 'image/png', data: 'A'.repeat(3_000_000) } }];
    const candidates = [{ content: { parts }, finishReason: 'STOP' }];
    for (const value of [
      { candidates, usageMetadata },
      { usageMetadata, candidates },
    ]) {
      const meter = meterOf(stream, { stream: true });
      meter.push(element(value));
      meter.end();
      expect(meter.usage()).toMatchObject({ usage: { inputTokens: 7, outputTokens: 1290 }, exact: true });
    }
  });
});

describe('searches', () => {
  const grounded = (model: string, queries: string[], index = 0): Buffer =>
    element({ ...saying('x', { index, groundingMetadata: { webSearchQueries: queries } }), modelVersion: model });

  it('have a fee each since Gemini 3, however often they are told', () => {
    const meter = meterOf(stream);
    meter.push(grounded('gemini-3-flash', ['a']));
    meter.push(grounded('gemini-3-flash', ['a', 'b']));
    meter.push(grounded('gemini-3-flash', ['c'], 1));
    expect(meter.usage()?.usage.webSearches).toBe(3);
  });

  it('have one for the prompt before', () => {
    const meter = meterOf(stream);
    meter.push(grounded('gemini-2.5-flash', ['a', 'b']));
    expect(meter.usage()?.usage.webSearches).toBe(1);
  });

  it('of maps count too, other sources do not', () => {
    const meter = meterOf(stream);
    const grounding = (chunk: object): Buffer => element(saying('x', { groundingMetadata: { groundingChunks: [chunk] } }));
    meter.push(grounding({ retrievedContext: {} }));
    expect(meter.usage()?.usage.webSearches).toBeUndefined();
    meter.push(grounding({ maps: {} }));
    expect(meter.usage()?.usage.webSearches).toBe(1);
  });
});

it('the tier is what the usage says, else what the headers say', () => {
  const headers = { 'x-gemini-service-tier': 'priority' };
  const meter = meterOf(generate, { headers });
  expect(meter.usage()?.tiers).toEqual(['priority']);
  meter.push(element({ usageMetadata: { promptTokenCount: 1, serviceTier: 'SERVICE_TIER_STANDARD' } }));
  expect(meter.usage()?.tiers).toEqual(['standard']);
});

describe('a list that has begun', () => {
  const error = '{"error":{"code":503}}';

  it('cut at every byte ends as JSON, with the error as its last element', () => {
    const bytes = file('gemini-text-list.json');
    for (let place = 0; place <= bytes.length; place += 1) {
      const meter = meterOf(stream);
      const sent = Buffer.concat(meter.push(bytes.subarray(0, place)));
      const list = JSON.parse(sent.toString() + (meter.endWith?.(error) ?? '')) as unknown[];
      const isClosed = place >= bytes.length - 1;
      expect(list.at(-1)).toEqual(isClosed ? expect.objectContaining({ responseId: 'made-up-1' }) : JSON.parse(error));
      const elements = (
        bytes
          .subarray(0, place)
          .toString()
          .match(/made-up-1"\s*\}/g) ?? []
      ).length;
      expect(list).toHaveLength(isClosed ? 3 : elements + 1);
    }
  });

  it('lets an element of megabytes through in pieces, and cannot end within it', () => {
    const image = JSON.stringify(saying('A'.repeat(3_000_000)));
    const text = Buffer.from(`[${JSON.stringify(saying('a'))},${image},${JSON.stringify(saying('b'))}]`);
    const meter = meterOf(stream);
    const passed: Buffer[] = [];
    const ends: (string | undefined)[] = [];
    for (let place = 0; place < text.length; place += 100_000) {
      passed.push(...meter.push(text.subarray(place, place + 100_000)));
      ends.push(meter.endWith?.(error));
      const held = Math.min(text.length, place + 100_000) - Buffer.concat(passed).length;
      expect(held).toBeLessThanOrEqual(1_048_576);
    }
    expect(Buffer.concat(passed).equals(text)).toBe(true);
    expect([ends[0], ends[15], ends.at(-1)]).toEqual([`${error}]`, undefined, '']);
  });

  it('goes on in any cuts as the bytes that came, also around an element of megabytes', () => {
    const image = JSON.stringify(saying('A'.repeat(2_200_000)));
    const text = Buffer.from(`[${image},\n${image},${JSON.stringify(saying('b'))},${image}]`);
    for (const size of [777_777, 1_100_001, 2_200_050, 10_000_000]) {
      const meter = meterOf(stream);
      const passed: Buffer[] = [];
      for (let place = 0; place < text.length; place += size) passed.push(...meter.push(text.subarray(place, place + size)));
      expect(Buffer.concat([...passed, ...meter.end()]).equals(text)).toBe(true);
    }
  });

  it('is cut short until it is closed', () => {
    const bytes = file('gemini-text-list.json');
    const meter = meterOf(stream);
    expect(meter.isCutShort?.()).toBe(false);
    meter.push(bytes.subarray(0, -2));
    expect(meter.isCutShort?.()).toBe(true);
    meter.push(bytes.subarray(-2));
    expect(meter.isCutShort?.()).toBe(false);
  });

  it('is the only one that can', () => {
    expect(meterOf(generate).endWith).toBeUndefined();
    expect(meterOf(stream, { stream: true }).endWith).toBeUndefined();
  });
});

it('counting tokens uses none', () => {
  const meter = meterOf(counting);
  const chunk = Buffer.from('{"totalTokens": 31}');
  expect(meter.push(chunk)).toEqual([chunk]);
  expect(meter.usage()).toBeUndefined();
});
