import { calcPrice } from '@pydantic/genai-prices';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { costOf } from '../../core/price.ts';
import { emptyUsage } from '../../core/usage.ts';
import { findBuiltInPrice, toRates } from './built-in.ts';

const atMs = Date.UTC(2026, 10, 27, 12);
const openai = { provider: 'OpenAI', baseUrl: 'https://api.openai.com' } as const;
const anthropic = { provider: 'Anthropic', baseUrl: 'https://api.anthropic.com' } as const;

describe('findBuiltInPrice', () => {
  it('gives integers of nano-dollars for a million tokens', () => {
    expect(findBuiltInPrice(openai, 'gpt-4o', atMs)?.rates).toEqual({
      input: { nanoUsd: 2_500_000_000 },
      cachedInput: { nanoUsd: 1_250_000_000 },
      output: { nanoUsd: 10_000_000_000 },
      // the dearer of its two tools
      webSearch: { nanoUsd: 25_000_000 },
    });
  });

  it('keeps the steps of long inputs', () => {
    expect(findBuiltInPrice(anthropic, 'claude-sonnet-4-5', atMs)?.rates.cacheWrite1h).toEqual({
      nanoUsd: 6_000_000_000,
      steps: [{ aboveInputTokens: 200_000, nanoUsd: 12_000_000_000 }],
    });
  });

  it.each(['priority', 'fast'])('counts no model of OpenAI at less than it costs in the tier %s', (tier) => {
    // dollars per million of input and output: openai.com/api-fast-mode
    const asked = { 'gpt-5.5': [12.5, 75], 'gpt-5.4': [5, 30], 'gpt-5-mini': [0.45, 3.6], 'gpt-4.1': [3.5, 14] };
    for (const [model, [input = 0, output = 0]] of Object.entries(asked)) {
      const { rates = {}, serviceTiers = {} } = findBuiltInPrice(openai, model, atMs) ?? {};
      const times = serviceTiers[tier] ?? 1000;
      expect((rates.input?.nanoUsd ?? 0) * times, model).toBeGreaterThanOrEqual(input * 1e12);
      expect((rates.output?.nanoUsd ?? 0) * times, model).toBeGreaterThanOrEqual(output * 1e12);
    }
  });

  it('knows that ultrafast costs six times as much', () => {
    expect(findBuiltInPrice(openai, 'gpt-5.5', atMs)?.serviceTiers['ultrafast']).toBe(6000);
  });

  it('knows what the list does not of Google’s models: fees of searches, images, speech, the dearer tier', () => {
    const gemini = { provider: 'Gemini', baseUrl: 'https://generativelanguage.googleapis.com' } as const;
    const of = (model: string): ReturnType<typeof findBuiltInPrice> => findBuiltInPrice(gemini, model, atMs);
    expect(of('gemini-2.5-pro')?.rates).toEqual({
      input: { nanoUsd: 1_250_000_000, steps: [{ aboveInputTokens: 200_000, nanoUsd: 2_500_000_000 }] },
      cachedInput: { nanoUsd: 125_000_000, steps: [{ aboveInputTokens: 200_000, nanoUsd: 250_000_000 }] },
      output: { nanoUsd: 10_000_000_000, steps: [{ aboveInputTokens: 200_000, nanoUsd: 15_000_000_000 }] },
      webSearch: { nanoUsd: 35_000_000 },
    });
    expect(of('gemini-3-pro-preview')?.rates.webSearch).toEqual({ nanoUsd: 14_000_000 });
    expect(of('gemini-2.5-flash-image')?.rates.imageOutput).toEqual({ nanoUsd: 30_000_000_000 });
    expect(of('gemini-2.5-flash-preview-tts')?.rates.audioOutput).toEqual({ nanoUsd: 10_000_000_000 });
    expect(of('gemini-2.5-flash')?.rates.audioOutput).toBeUndefined();
    expect(of('gemini-2.5-flash')?.serviceTiers).toEqual({ priority: 2000 });
  });

  it.each([
    ['gpt-4o-search-preview', 25_000_000],
    ['gpt-4o-mini-search-preview-2025-03-11', 25_000_000],
    ['gpt-5-search-api', 10_000_000],
    ['gpt-5-search-api-2025-10-14', 10_000_000],
  ])('knows the fee that each request to %s has, searched for or not', (model, nanoUsd) => {
    const price = findBuiltInPrice(openai, model, atMs);
    expect(price?.rates).toMatchObject({
      request: { nanoUsd },
      webSearch: { nanoUsd: 0 },
      input: expect.anything(),
      output: expect.anything(),
    });
    expect(price && costOf(price, emptyUsage)).toEqual({ nanoUsd, unpriced: [] });
  });

  it('counts a search of newer models once', () =>
    expect(findBuiltInPrice(openai, 'gpt-5', atMs)?.rates).toMatchObject({ webSearch: { nanoUsd: 10_000_000 } }));

  it('counts audio by the second', () => {
    expect(findBuiltInPrice(openai, 'whisper-1', atMs)?.rates).toEqual({ second: { nanoUsd: 100_000 } });
  });

  it.each([
    ['a model that the list does not know', openai, 'gpt-4o-nonsense'],
    [
      'a server that only speaks the language, whatever its models are called',
      { provider: 'OpenAICompatible', baseUrl: 'http://vllm.llm.svc:8000' } as const,
      'gpt-4o',
    ],
    ['a name that is a member of every object', openai, 'toString'],
  ])('has nothing for %s', (_what, channel, model) => expect(findBuiltInPrice(channel, model, atMs)).toBeUndefined());

  it.each([
    ['https://api.groq.com/openai', 'llama-3.3-70b-versatile'],
    ['https://api.mistral.ai', 'mistral-large-latest'],
    ['https://generativelanguage.googleapis.com/v1beta/openai', 'gemini-2.5-pro'],
  ])('knows compatible servers by their address: %s', (baseUrl, model) =>
    expect(findBuiltInPrice({ provider: 'OpenAICompatible', baseUrl }, model, atMs)?.rates.input?.nanoUsd).toBeGreaterThan(0),
  );

  it('follows the list over the day and from one day to the next', () => {
    const deepseek = { provider: 'OpenAICompatible', baseUrl: 'https://api.deepseek.com' } as const;
    const atHour = (hour: number): number | undefined =>
      findBuiltInPrice(deepseek, 'deepseek-chat', Date.UTC(2026, 10, 27, hour))?.rates.input?.nanoUsd;
    expect(atHour(12)).not.toBe(atHour(20));
    const before = findBuiltInPrice(openai, 'o3', Date.UTC(2025, 5, 9))?.rates.input?.nanoUsd ?? 0;
    expect(before).toBeGreaterThan(findBuiltInPrice(openai, 'o3', Date.UTC(2025, 5, 10))?.rates.input?.nanoUsd ?? 0);
  });

  it('has no rate of 0: where the list has one, nothing is known', () => {
    const tiers = { base: 1, tiers: [{ start: 1000, price: 0 }] };
    expect(toRates({ input_mtok: 0, cache_read_mtok: tiers, output_mtok: 2, requests_kcount: 0 })).toEqual({
      output: { nanoUsd: 2_000_000_000 },
    });
  });

  it('costs what the list itself works out, to the rounding of one nano-dollar', () => {
    const models = [
      ['openai', openai, 'gpt-4o'],
      ['openai', openai, 'gpt-5.4'],
      ['openai', openai, 'gpt-audio'],
      ['anthropic', anthropic, 'claude-sonnet-4-5'],
      ['anthropic', anthropic, 'claude-opus-4-6'],
    ] as const;
    const count = fc.nat({ max: 400_000 });
    fc.assert(
      fc.property(
        fc.constantFrom(...models),
        fc.record({ fresh: count, cached: count, written: count, hour: count, output: count }),
        ([providerId, channel, model], tokens) => {
          const isAnthropic = providerId === 'anthropic';
          const [written, hour] = isAnthropic ? [tokens.written, tokens.hour] : [0, 0];
          const cached = model === 'gpt-audio' ? 0 : tokens.cached;
          const inputTokens = tokens.fresh + cached + written + hour;
          const usage = {
            ...emptyUsage,
            inputTokens,
            cachedInputTokens: cached,
            cacheWriteTokens: written + hour,
            cacheWrite1hTokens: hour,
            outputTokens: tokens.output,
          };
          const listed = calcPrice(
            {
              input_tokens: inputTokens,
              cache_read_tokens: cached,
              ...(isAnthropic ? { cache_write_tokens: written + hour, cache_write_1h_tokens: hour } : {}),
              output_tokens: tokens.output,
            },
            model,
            { providerId, timestamp: new Date(atMs) },
          );
          const price = findBuiltInPrice(channel, model, atMs);
          expect(price && costOf(price, usage).nanoUsd).toBeCloseTo((listed?.total_price ?? Number.NaN) * 1e9, -1);
        },
      ),
    );
  });
});
