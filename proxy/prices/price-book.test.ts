import { describe, expect, it } from 'vitest';
import type { Price } from '../../core/price.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { channelRecord } from '../../test/fake/snapshot.ts';
import { makePriceBook } from './price-book.ts';

const noonMs = Date.UTC(2026, 10, 27, 12);
const book = makePriceBook({ now: () => noonMs });
const inputOf = (channel: ChannelRecord, model: string, upstream?: string): number | undefined =>
  book.priceOf(channel, model, upstream)?.rates.input?.nanoUsd;

describe('a price', () => {
  it('is the built-in one of the model that the provider is asked for', () => {
    const channel = channelRecord('openai', { models: [{ name: 'fast', upstreamName: 'gpt-4o-mini' }] });
    expect(inputOf(channel, 'fast', 'gpt-4o-mini')).toBe(150_000_000);
    expect(inputOf(channel, 'fast')).toBeUndefined();
    // what clients call it says nothing of what it costs
    expect(inputOf(channel, 'gpt-4o', 'ft:unknown')).toBeUndefined();
  });

  it('of an Azure deployment is that of its model, or of what clients call it', () => {
    const azure = channelRecord('azure', { provider: 'AzureOpenAI', baseUrl: 'https://acme.openai.azure.com' });
    expect(inputOf(azure, 'gpt-4o', 'my-deployment')).toBe(2_500_000_000);
    expect(inputOf(azure, 'mine', 'gpt-4o')).toBe(2_500_000_000);
    expect(inputOf(azure, 'mine', 'my-deployment')).toBeUndefined();
  });

  it('is overridden by the entry of the Channel that serves the model', () => {
    const models = [
      { name: 'gpt-*', price: { input: 7, output: 8 } },
      { name: 'gpt-4o', price: { output: 9 } },
    ];
    const channel = channelRecord('openai', { models });
    expect(book.priceOf(channel, 'gpt-4o')?.rates).toMatchObject({ input: { nanoUsd: 2_500_000_000 }, output: { nanoUsd: 9 } });
    expect(book.priceOf(channel, 'gpt-4o-mini')?.rates).toMatchObject({ input: { nanoUsd: 7 }, output: { nanoUsd: 8 } });
    expect(book.priceOf(channel, 'gpt-own')?.rates).toEqual({ input: { nanoUsd: 7 }, output: { nanoUsd: 8 } });
  });

  it('of Anthropic has cache writes even where nobody prices them', () => {
    const channel = channelRecord('anthropic', {
      provider: 'Anthropic',
      models: [{ name: 'claude-own', price: { input: 1001, output: 5000 } }],
    });
    expect(book.priceOf(channel, 'claude-own')?.rates).toMatchObject({ cacheWrite: { nanoUsd: 1252 }, cacheWrite1h: { nanoUsd: 2002 } });
    expect(book.priceOf(channelRecord('openai', { models: channel.models ?? [] }), 'claude-own')?.rates.cacheWrite).toBeUndefined();
  });

  it('is worked out once, until the list may change', () => {
    let nowMs = noonMs;
    const deepseek = channelRecord('deepseek', { provider: 'OpenAICompatible', baseUrl: 'https://api.deepseek.com' });
    const own = makePriceBook({ now: () => nowMs });
    const first = own.priceOf(deepseek, 'deepseek-chat');
    nowMs += 600_000;
    expect(own.priceOf(deepseek, 'deepseek-chat')).toBe(first);
    nowMs += 8 * 3_600_000;
    expect(own.priceOf(deepseek, 'deepseek-chat')?.rates.input).not.toEqual(first?.rates.input);
  });

  it('does not mix up names that read the same one after the other', () => {
    const azure = channelRecord('azure', { provider: 'AzureOpenAI' });
    expect(inputOf(azure, 'gpt-4o', 'x')).toBe(2_500_000_000);
    expect(inputOf(azure, 'x', 'gpt-4o')).toBe(2_500_000_000);
    expect(inputOf(azure, 'x', 'y')).toBeUndefined();
  });

  it('for what nobody has priced fills the gaps only', () => {
    const unpricedPrice: Price = {
      rates: { input: { nanoUsd: 1 }, output: { nanoUsd: 2 }, audioOutput: { nanoUsd: 3 } },
      serviceTiers: {},
      unaskedThousandths: 1000,
    };
    const own = makePriceBook({ now: () => noonMs, unpricedPrice });
    expect(own.priceOf(channelRecord('openai'), 'nobody-knows')).toEqual(unpricedPrice);
    expect(own.priceOf(channelRecord('openai'), 'gpt-4o')?.rates).toMatchObject({
      input: { nanoUsd: 2_500_000_000 },
      audioOutput: { nanoUsd: 3 },
    });
  });
});
