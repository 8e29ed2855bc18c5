import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { messagesDriver } from './messages.ts';
import type { Meter } from '../dialect.ts';

const surface = messagesDriver.surfaces.find(({ operation }) => operation === 'chat');
const counting = messagesDriver.surfaces.find(({ operation }) => operation === 'count_tokens');
if (surface === undefined || counting === undefined) throw new Error('surfaces are missing');
const estimatedInputTokens = 33;

const file = (name: string): Buffer => readFileSync(new URL(`../testdata/${name}`, import.meta.url));
const meterOf = (stream = true): Meter => messagesDriver.makeMeter({ surface, stream, withholdUsage: false, estimatedInputTokens });

describe.each([
  ['anthropic-text.sse', { inputTokens: 25, cachedInputTokens: 0, outputTokens: 15 }, true],
  [
    'anthropic-cache-thinking-tools.sse',
    { inputTokens: 2172, cachedInputTokens: 2048, cacheWriteTokens: 120, outputTokens: 89, reasoningTokens: 31 },
    true,
  ],
  ['anthropic-error.sse', { inputTokens: 25, outputTokens: 5 }, false],
  ['anthropic-message.json', { inputTokens: 2058, cachedInputTokens: 2048, cacheWriteTokens: 0, outputTokens: 25 }, true],
] as const)('%s', (name, usage, exact) => {
  const bytes = file(name);
  const stream = name.endsWith('.sse');

  it('cut at every byte: the usage is found and every chunk passes at once', () => {
    for (let place = 0; place < bytes.length; place += 1) {
      const meter = meterOf(stream);
      const chunks = [bytes.subarray(0, place), bytes.subarray(place)];
      for (const chunk of chunks) expect(meter.push(chunk)).toEqual([chunk]);
      expect(meter.end()).toEqual([]);
      expect(meter.usage()).toMatchObject({ usage, exact });
    }
  });
});

describe('what was used beside the answer', () => {
  const event = (value: object): Buffer => Buffer.from(`data: ${JSON.stringify(value)}\n\n`);
  const compaction = { type: 'compaction', input_tokens: 50_000, output_tokens: 700 };
  const start = event({ type: 'message_start', message: { usage: { input_tokens: 900, output_tokens: 1, iterations: [] } } });

  it('is added once, as the last delta tells it', () => {
    const meter = meterOf();
    meter.push(start);
    meter.push(event({ type: 'message_delta', usage: { output_tokens: 5, iterations: [compaction] } }));
    meter.push(
      event({ type: 'message_delta', usage: { output_tokens: 9, iterations: [compaction, { type: 'message', input_tokens: 900 }] } }),
    );
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 50_900, outputTokens: 709, longestInputTokens: 50_000 }, exact: true });
    // a later one that says nothing of it takes nothing back
    meter.push(event({ type: 'message_delta', usage: { output_tokens: 10 } }));
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 50_900, outputTokens: 710 }, exact: true });
  });

  it('is kept where the stream breaks off', () => {
    const meter = meterOf();
    meter.push(event({ type: 'message_start', message: { usage: { input_tokens: 900, output_tokens: 1, iterations: [compaction] } } }));
    meter.push(event({ type: 'content_block_delta', delta: { type: 'text_delta', text: 'x' } }));
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 50_900 }, exact: false });
  });
});

describe('a stream that is broken off', () => {
  it('has its exact input as soon as that was told, and at least one token for each delta that came', () => {
    const bytes = file('anthropic-text.sse');
    const begun = bytes.indexOf('\n\n') + 2;
    for (let place = 0; place < bytes.length; place += 1) {
      const meter = meterOf();
      meter.push(bytes.subarray(0, place));
      const known = meter.usage();
      expect(known?.usage.inputTokens).toBe(place < begun ? estimatedInputTokens : 25);
      const deltas = (
        bytes
          .subarray(0, place)
          .toString()
          .match(/text_delta[^\n]*\n\n/g) ?? []
      ).length;
      expect(known?.usage.outputTokens).toBeGreaterThanOrEqual(deltas);
    }
  });

  it('after a delta of usage and more text is not exact', () => {
    const meter = meterOf();
    const event = (value: object): Buffer => Buffer.from(`data: ${JSON.stringify(value)}\n\n`);
    meter.push(event({ type: 'message_start', message: { usage: { input_tokens: 9, output_tokens: 1 } } }));
    meter.push(event({ type: 'message_delta', delta: {}, usage: { output_tokens: 3 } }));
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 9, outputTokens: 3 }, exact: true });
    meter.push(event({ type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'y'.repeat(80) } }));
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 9, outputTokens: 20 }, exact: false });
    meter.push(event({ type: 'message_delta', delta: {}, usage: null }));
    meter.push(event({ type: 'message_delta', delta: {}, usage: { output_tokens: null } }));
    expect(meter.usage()).toMatchObject({ exact: false });
  });
});

it.each([
  ['anthropic-cache-thinking-tools.sse', true],
  ['anthropic-message.json', false],
])('the service tier of %s is told with the usage', (name, stream) => {
  const meter = meterOf(stream);
  meter.push(file(name));
  expect(meter.usage()).toMatchObject({ exact: true, tiers: ['standard'] });
});

it('counting tokens uses none', () => {
  const meter = messagesDriver.makeMeter({ surface: counting, stream: false, withholdUsage: false, estimatedInputTokens });
  const chunk = Buffer.from('{"input_tokens": 2095}');
  expect(meter.push(chunk)).toEqual([chunk]);
  expect(meter.end()).toEqual([]);
  expect(meter.usage()).toBeUndefined();
});
