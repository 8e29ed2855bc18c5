import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Meter } from '../dialect.ts';
import { chatCompletionsDriver } from './chat-completions.ts';
import { embeddingsDriver } from './embeddings.ts';

const [surface] = chatCompletionsDriver.surfaces;
const [embeddings] = embeddingsDriver.surfaces;
if (surface === undefined || embeddings === undefined) throw new Error('surfaces are missing');
const estimatedInputTokens = 33;

const file = (name: string): Buffer => readFileSync(new URL(`../testdata/${name}`, import.meta.url));
const meterOf = (withholdUsage: boolean, stream = true): Meter =>
  chatCompletionsDriver.makeMeter({ surface, stream, withholdUsage, estimatedInputTokens });

function play(meter: Meter, chunks: readonly Buffer[]): string {
  return Buffer.concat([...chunks.flatMap((chunk) => [...meter.push(chunk)]), ...meter.end()]).toString();
}

/** The same stream without the event that holds what only the gateway asked for. */
function withoutUsage(text: string): string {
  const end = text.includes('\r\n\r\n') ? '\r\n\r\n' : '\n\n';
  const events = text.split(end);
  return events.filter((event) => !(event.includes('"choices":[]') && event.includes('"prompt_tokens"'))).join(end);
}

const streams = [
  ['openai-chat-usage.sse', { inputTokens: 19, outputTokens: 10 }, true],
  ['openai-tools-usage.sse', { inputTokens: 82, cachedInputTokens: 64, outputTokens: 25, reasoningTokens: 5 }, true],
  ['openai-choices-usage.sse', { inputTokens: 19, outputTokens: 12 }, true],
  ['compatible-azure.sse', { inputTokens: 19, outputTokens: 10 }, true],
  ['compatible-vllm-running-totals.sse', { inputTokens: 7, outputTokens: 8 }, true],
  ['compatible-groq.sse', { inputTokens: 38, outputTokens: 4 }, true],
  ['compatible-groq-usage.sse', { inputTokens: 38, outputTokens: 4 }, true],
  ['compatible-mistral.sse', { inputTokens: 16, outputTokens: 4 }, true],
  ['compatible-deepseek.sse', { inputTokens: 320, cachedInputTokens: 256, outputTokens: 9, reasoningTokens: 4 }, true],
  ['compatible-together.sse', { inputTokens: 36, outputTokens: 3 }, true],
  ['compatible-openrouter.sse', { inputTokens: 14, outputTokens: 3 }, true],
  // thoughts are in the total only
  ['compatible-gemini.sse', { inputTokens: 5, outputTokens: 57 }, true],
  ['compatible-anthropic.sse', { inputTokens: 10, outputTokens: 6 }, true],
  ['compatible-ollama.sse', { inputTokens: 26, outputTokens: 3 }, true],
  ['compatible-moonshot.sse', { inputTokens: 19, cachedInputTokens: 10, outputTokens: 3 }, true],
  ['openai-completions-usage.sse', { inputTokens: 6, outputTokens: 5 }, true],
  ['openai-completions.sse', { inputTokens: estimatedInputTokens, outputTokens: 6 }, false],
  ['openai-chat.sse', { inputTokens: estimatedInputTokens, outputTokens: 8 }, false],
  ['compatible-no-usage.sse', { inputTokens: estimatedInputTokens, outputTokens: 8 }, false],
] as const;

describe.each(streams)('%s', (name, usage, exact) => {
  const bytes = file(name);
  const visible = withoutUsage(bytes.toString());

  it('cut at every byte: the usage is found and the client gets all but the usage chunk', () => {
    expect(visible === bytes.toString()).toBe(!bytes.toString().includes('"choices":[]'));
    for (let place = 0; place < bytes.length; place += 1) {
      const meter = meterOf(true);
      expect(play(meter, [bytes.subarray(0, place), bytes.subarray(place)])).toBe(visible);
      expect(meter.usage()).toMatchObject({ usage, exact });
    }
    const meter = meterOf(true);
    expect(
      play(
        meter,
        [...bytes].map((byte) => Buffer.from([byte])),
      ),
    ).toBe(visible);
    expect(meter.usage()).toMatchObject({ usage, exact });
  });

  it('whose client asked for usage passes untouched, every chunk at once', () => {
    const meter = meterOf(false);
    for (let place = 0; place < bytes.length; place += 7) {
      const chunk = bytes.subarray(place, place + 7);
      expect(meter.push(chunk)).toEqual([chunk]);
    }
    expect(meter.end()).toEqual([]);
    expect(meter.usage()).toMatchObject({ usage, exact });
  });

  it('broken off anywhere is never free, and held bytes are those of the unfinished event only', () => {
    for (let place = 1; place < bytes.length; place += 1) {
      const meter = meterOf(true);
      const given = Buffer.concat([...meter.push(bytes.subarray(0, place))]).toString();
      expect(visible.startsWith(given)).toBe(true);
      const known = meter.usage();
      expect(known?.usage.inputTokens).toBeGreaterThan(0);
      const deltas = (
        bytes
          .subarray(0, place)
          .toString()
          .match(/"content":"[^"]+"[^\n]*\n\r?\n/g) ?? []
      ).length;
      expect(known?.usage.outputTokens).toBeGreaterThanOrEqual(deltas);
      // Exact is said only of what the provider has told.
      expect(known?.exact === true ? known.usage : usage).toMatchObject(usage);
    }
  });
});

describe('what is withheld', () => {
  const chunk = (value: object): Buffer => Buffer.from(`data: ${JSON.stringify(value)}\n\n`);
  const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };

  it.each([
    ['usage beside a choice', { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage }],
    ['no choices and no usage', { choices: [], usage: null }],
    ['no choices and filters', { choices: [], prompt_filter_results: [] }],
    ['an error', { error: { message: 'x' }, usage }],
    ['an unknown event', { type: 'news' }],
  ])('is not %s', (_what, value) => {
    const meter = meterOf(true);
    expect(meter.push(chunk(value)).map(String)).toEqual([String(chunk(value))]);
  });

  it('is the usage chunk, also in the middle of one network chunk', () => {
    const meter = meterOf(true);
    const [before, after] = [chunk({ choices: [{ index: 0, delta: { content: 'a' } }] }), Buffer.from('data: [DONE]\n\n')];
    const given = meter.push(Buffer.concat([before, chunk({ choices: [], usage }), after]));
    expect(given.map(String)).toEqual([String(before), String(after)]);
  });

  it('leaves a chunk without anything to withhold one write', () => {
    const bytes = file('openai-chat.sse');
    expect(meterOf(true).push(bytes)).toHaveLength(1);
  });
});

describe('a running total', () => {
  const total = (tokens: number): Buffer =>
    Buffer.from(
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x' } }], usage: { prompt_tokens: 7, completion_tokens: tokens, total_tokens: 7 + tokens } })}\n\n`,
    );

  it('is not the last word while the stream may go on', () => {
    const meter = meterOf(false);
    meter.push(total(5));
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 7, outputTokens: 5 }, exact: false });
    meter.push(total(6));
    meter.end();
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 7, outputTokens: 6 }, exact: true });
  });

  it('counts long deltas by their bytes', () => {
    const meter = meterOf(false);
    meter.push(Buffer.from(`data: ${JSON.stringify({ choices: [{ delta: { content: 'x'.repeat(400) } }] })}\n\n`));
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: estimatedInputTokens, outputTokens: 100 }, exact: false });
  });

  it('of an answer that never began is its input', () => {
    expect(meterOf(true).usage()).toMatchObject({ usage: { inputTokens: estimatedInputTokens, outputTokens: 0 }, exact: false });
  });
});

describe('a JSON answer', () => {
  it.each([
    ['openai-chat.json', surface, { inputTokens: 19, outputTokens: 10 }],
    ['openai-embeddings.json', embeddings, { inputTokens: 8, outputTokens: 0 }],
  ])('%s, cut at every byte', (name, on, usage) => {
    const bytes = file(name);
    for (let place = 0; place < bytes.length; place += 1) {
      const meter = chatCompletionsDriver.makeMeter({ surface: on, stream: false, withholdUsage: false, estimatedInputTokens });
      expect(play(meter, [bytes.subarray(0, place), bytes.subarray(place)])).toBe(bytes.toString());
      expect(meter.usage()).toMatchObject({ usage, exact: true });
    }
  });

  it('of many megabytes has its usage at the end', () => {
    const meter = embeddingsDriver.makeMeter({ surface: embeddings, stream: false, withholdUsage: false, estimatedInputTokens });
    meter.push(Buffer.from('{"object":"list","data":[{"embedding":"'));
    for (let index = 0; index < 64; index += 1) meter.push(Buffer.from('A'.repeat(65_536)));
    meter.push(Buffer.from('"}],"usage":{"prompt_tokens":8,"total_tokens":8}}'));
    expect(meter.usage()).toMatchObject({ usage: { inputTokens: 8, outputTokens: 0 }, exact: true });
  });

  it('that broke off or tells nothing is estimated by its size', () => {
    const broken = meterOf(false, false);
    broken.push(file('openai-chat.json').subarray(0, 400));
    expect(broken.usage()).toMatchObject({ usage: { inputTokens: estimatedInputTokens, outputTokens: 100 }, exact: false });
    const embedding = embeddingsDriver.makeMeter({ surface: embeddings, stream: false, withholdUsage: false, estimatedInputTokens });
    embedding.push(Buffer.from('{"data":['));
    expect(embedding.usage()).toMatchObject({ usage: { inputTokens: estimatedInputTokens, outputTokens: 0 }, exact: false });
  });
});

describe('the service tier', () => {
  it.each([
    ['openai-chat-usage.sse', true],
    ['openai-chat.json', false],
  ])('of %s is told with the usage', (name, stream) => {
    const meter = meterOf(true, stream);
    play(meter, [file(name)]);
    expect(meter.usage()).toMatchObject({ exact: true, tiers: ['default'] });
  });

  it('is not made up', () => {
    const meter = meterOf(true);
    play(meter, [
      Buffer.from(
        file('compatible-no-usage.sse')
          .toString()
          .replaceAll(/"service_tier":[^,]*,/g, ''),
      ),
    ]);
    expect(meter.usage()).not.toHaveProperty('tiers');
  });
});
