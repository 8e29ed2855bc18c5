import { describe, expect, it } from 'vitest';
import type { Candidate } from '../../core/route.ts';
import { emptyUsage } from '../../core/usage.ts';
import { channelRecord } from '../../test/fake/snapshot.ts';
import { makePriceBook } from './price-book.ts';
import { costAt, floorAt, priceRequest, type PricedRequest, type RequestToPrice } from './price-request.ts';

const book = makePriceBook({ now: () => 0 });

/** A channel of a server that nobody knows; prices in nano-dollars per million. */
function candidateOf(name: string, price?: { input?: number; output?: number }): Candidate {
  const models = [
    { name: 'own', ...(price === undefined ? {} : { price }) },
    { name: 'dear', price: { input: 50e9, output: 50e9 } },
    { name: 'unsaid' },
  ];
  return { channel: channelRecord(name, { provider: 'OpenAICompatible', models }), upstreamModel: 'own' };
}
const cheap = candidateOf('cheap', { input: 1e9, output: 2e9 });
const other = candidateOf('other', { input: 3e9, output: 1e9 });
const unpriced = candidateOf('unpriced');
const usage = { ...emptyUsage, inputTokens: 1000, outputTokens: 1000 };

function ask(changes: Partial<RequestToPrice>): ReturnType<typeof priceRequest> {
  return priceRequest({
    book,
    unpricedModels: 'Deny',
    candidates: [cheap, other],
    model: 'own',
    otherModels: [],
    shape: { promptBytes: 936, maxOutputTokens: 1000 },
    estimatedInputTokens: 250,
    hasBudget: true,
    ...changes,
  });
}
function priced(changes: Partial<RequestToPrice> = {}): PricedRequest {
  const result = ask(changes);
  if ('refusal' in result) throw new Error(result.refusal.message);
  return result;
}
const ids = ({ candidates }: PricedRequest): string[] => candidates.map(({ channel }) => channel.id);

describe('priceRequest', () => {
  it('reserves for the dearest of its channels and charges the one that answered', () => {
    const { boundNanoUsd, floorNanoUsd, prices } = priced();
    expect([boundNanoUsd, floorNanoUsd]).toEqual([4_000_000, 750_000]);
    expect(costAt(prices, 'default/cheap', usage).nanoUsd).toBe(3_000_000);
    expect(costAt(prices, 'default/other', usage).nanoUsd).toBe(4_000_000);
    expect([floorAt(prices, 'default/cheap', 250), floorAt(prices, 'default/other', 250)]).toEqual([250_000, 750_000]);
  });

  it('leaves out channels without a price for a key with a budget, and refuses when none is left', () => {
    expect(ids(priced({ candidates: [unpriced, cheap] }))).toEqual(['default/cheap']);
    const result = ask({ candidates: [unpriced] });
    expect(result).toMatchObject({
      refusal: { code: 'model_not_priced', param: 'model', message: expect.stringContaining('"own" costs (input, output)') },
    });
    // half a price is none
    expect(ask({ candidates: [candidateOf('half', { input: 1e9 })] })).toMatchObject({
      refusal: { message: expect.stringContaining('(output)') },
    });
  });

  it('lets a key without a budget use what has no price', () => {
    const { prices, boundNanoUsd, ...rest } = priced({ candidates: [unpriced], hasBudget: false });
    expect([ids({ prices, boundNanoUsd, ...rest }), boundNanoUsd]).toEqual([['default/unpriced'], 0]);
    expect(costAt(prices, 'default/unpriced', usage)).toEqual({ nanoUsd: 0, unpriced: ['input', 'output'] });
  });

  it('with Allow counts it as nothing, and says what has no price', () => {
    const { prices, boundNanoUsd } = priced({ candidates: [unpriced], unpricedModels: 'Allow' });
    expect(boundNanoUsd).toBe(0);
    expect(costAt(prices, 'default/unpriced', usage).unpriced).toEqual(['input', 'output']);
  });

  it('counts the dearest of all models that it names', () => {
    const { prices, boundNanoUsd } = priced({ candidates: [cheap], otherModels: ['dear'] });
    expect(boundNanoUsd).toBe(100_000_000);
    expect(costAt(prices, 'default/cheap', usage).nanoUsd).toBe(100_000_000);
    expect(ask({ candidates: [cheap], otherModels: ['unsaid'] })).toMatchObject({ refusal: { code: 'model_not_priced' } });
  });

  it('has nothing to say of a request without channels', () => {
    expect(priced({ candidates: [] })).toEqual({ candidates: [], prices: new Map(), boundNanoUsd: 0, floorNanoUsd: 0 });
  });
});
