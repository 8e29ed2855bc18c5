import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Meter } from '../dialect.ts';
import { responsesDriver } from './responses.ts';

const surface = responsesDriver.surfaces.find(({ name }) => name === 'responses');
if (surface === undefined) throw new Error('the surface is missing');
const estimatedInputTokens = 33;

const file = (name: string): Buffer => readFileSync(new URL(`../testdata/${name}`, import.meta.url));
const meterOf = (stream = true, unseenOutputTokens?: number): Meter =>
  responsesDriver.makeMeter({ surface, stream, withholdUsage: false, estimatedInputTokens, unseenOutputTokens });

const recordings = [
  ['responses-text.sse', { inputTokens: 31, cachedInputTokens: 0, outputTokens: 12, reasoningTokens: 0 }, true],
  ['responses-reasoning-tools.sse', { inputTokens: 1412, cachedInputTokens: 1280, outputTokens: 149, reasoningTokens: 128 }, true],
  ['responses-incomplete.sse', { inputTokens: 18, outputTokens: 16 }, true],
  // the provider says that it failed and not what that took: three deltas came
  ['responses-failed.sse', { inputTokens: estimatedInputTokens, outputTokens: 3 }, false],
  ['responses-error.sse', { inputTokens: estimatedInputTokens, outputTokens: 0 }, false],
  ['responses-search.sse', { inputTokens: 8450, outputTokens: 41, webSearches: 2 }, true],
  ['responses-text.json', { inputTokens: 36, outputTokens: 87, reasoningTokens: 64 }, true],
] as const;

describe.each(recordings)('%s', (name, usage, exact) => {
  const bytes = file(name);
  const stream = name.endsWith('.sse');

  it('cut at every byte: the usage is found, every chunk passes at once, and the stream is whole', () => {
    const usages = new Set<string>();
    let wholes = 0;
    for (let place = 0; place < bytes.length; place += 1) {
      const meter = meterOf(stream);
      const chunks = [bytes.subarray(0, place), bytes.subarray(place)];
      const passed = chunks.every((chunk) => meter.push(chunk)[0] === chunk) && meter.end().length === 0;
      if (passed && meter.isCutShort?.() !== true) wholes += 1;
      usages.add(JSON.stringify(meter.usage()));
    }
    expect(wholes).toBe(bytes.length);
    expect([...usages].map((text) => JSON.parse(text) as unknown)).toEqual([expect.objectContaining({ exact })]);
    expect(JSON.parse([...usages][0] ?? '')).toMatchObject({ usage });
  });
});

describe('a stream without its last event', () => {
  it.each(recordings.filter(([name]) => name.endsWith('.sse')).map(([name]) => name))(
    '%s is cut short, and counts what was seen',
    (name) => {
      const bytes = file(name);
      const lastEvent = bytes.lastIndexOf('\nevent: ') + 1;
      for (let place = 0; place < lastEvent; place += 7) {
        const meter = meterOf();
        meter.push(bytes.subarray(0, place));
        meter.end();
        expect(meter.isCutShort?.()).toBe(true);
        const deltas =
          bytes
            .subarray(0, place)
            .toString()
            .match(/"delta":"[^\n]*\n\n/g) ?? [];
        expect(meter.usage()).toMatchObject({ exact: false, usage: { inputTokens: estimatedInputTokens } });
        expect(meter.usage()?.usage.outputTokens).toBeGreaterThanOrEqual(deltas.length);
      }
    },
  );

  it('knows the number of the next event', () => {
    const meter = meterOf();
    expect(meter.nextSequenceNumber?.()).toBe(0);
    meter.push(file('responses-failed.sse'));
    expect(meter.nextSequenceNumber?.()).toBe(8);
  });
});

describe('an event that is too long to be read', () => {
  const image = 'A'.repeat(3 << 20);
  const event = (text: string): Buffer => {
    const response = { id: 'resp_1', output: [{ type: 'image_generation_call', result: image }, { text }], tools: [{ usage: { a: {} } }] };
    const usage = {
      input_tokens: 50,
      input_tokens_details: { cached_tokens: 2 },
      output_tokens: 7,
      output_tokens_details: { reasoning_tokens: 0 },
    };
    const data = {
      type: 'response.completed',
      response: { ...response, usage, user: null, metadata: { note: '"usage":{"input_tokens":1}' } },
    };
    return Buffer.from(`event: response.completed\ndata: ${JSON.stringify({ ...data, sequence_number: 9 })}\n\n`);
  };

  it.each([1 << 16, 1 << 20, 1 << 23])('in pieces of %i bytes still tells its usage', (size) => {
    const bytes = event('"usage":{"input_tokens":1,"output_tokens":1}');
    const meter = meterOf();
    meter.push(Buffer.from('event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1","usage":null}}\n\n'));
    for (let place = 0; place < bytes.length; place += size) meter.push(bytes.subarray(place, place + size));
    meter.end();
    expect(meter.isCutShort?.()).toBe(false);
    expect(meter.usage()).toMatchObject({ exact: true, usage: { inputTokens: 50, cachedInputTokens: 2, outputTokens: 7 } });
  });
});

describe('what runs on in the background', () => {
  it('is charged what it may use at most, as long as its usage is not told', () => {
    const json = meterOf(false, 5000);
    json.push(file('responses-queued.json'));
    expect(json.usage()).toMatchObject({ exact: false, usage: { inputTokens: estimatedInputTokens, outputTokens: 5000 } });
    const stream = meterOf(true, 5000);
    const bytes = file('responses-text.sse');
    stream.push(bytes.subarray(0, 2000));
    expect(stream.usage()?.usage.outputTokens).toBe(5000);
    stream.push(bytes.subarray(2000));
    expect(stream.usage()).toMatchObject({ exact: true, usage: { outputTokens: 12 } });
  });
});
