import { boundOf, type Cost, type CostShape, costOf, findUnpriced, floorOf, type Price, type PricedUnit } from '../../core/price.ts';
import type { Refusal } from '../../core/refusals.ts';
import type { Candidate } from '../../core/route.ts';
import type { Usage } from '../../core/usage.ts';
import type { PriceBook } from './price-book.ts';

/** What happens to requests of which nobody has said what they cost. */
export type UnpricedModels = 'Deny' | 'Allow' | 'Price';

/** Prices of one request, fixed at its admission, by channel id: of its model, and of every further one that it names. */
export type RequestPrices = ReadonlyMap<string, readonly Price[]>;

export interface PricedRequest {
  /** without the channels that have no price, where those are denied */
  readonly candidates: readonly Candidate[];
  readonly prices: RequestPrices;
  /** the most that it may cost at the dearest of its channels; integer nano-dollars */
  readonly boundNanoUsd: number;
  /** its estimated input at the dearest of its channels, never above the bound */
  readonly floorNanoUsd: number;
}

export interface RequestToPrice {
  readonly book: PriceBook;
  readonly unpricedModels: UnpricedModels;
  readonly candidates: readonly Candidate[];
  readonly model: string;
  /** what else it names: a provider may answer with any of them, and the dearest counts */
  readonly otherModels: readonly string[];
  readonly shape: CostShape;
  readonly estimatedInputTokens: number;
  /** the key has a budget that is enforced: only then can a missing price refuse anything */
  readonly hasBudget: boolean;
}

const noPrice: Price = { rates: {}, serviceTiers: {}, unaskedThousandths: 1000 };

/** What a request may cost at each of the channels that could answer it. Refuses with `model_not_priced` when none may. */
export function priceRequest(request: RequestToPrice): PricedRequest | { readonly refusal: Refusal } {
  const { candidates, shape, estimatedInputTokens } = request;
  const priced = candidates.map((candidate) => toPriced(request, candidate));
  const isStrict = request.unpricedModels === 'Deny' && request.hasBudget;
  const usable = isStrict ? priced.filter(({ unpriced }) => unpriced.length === 0) : priced;
  if (candidates.length > 0 && usable.length === 0) return { refusal: toRefusal(request.model, priced[0]?.unpriced ?? []) };
  const prices = usable.flatMap((each) => each.prices);
  const boundNanoUsd = Math.max(0, ...prices.map((price) => boundOf(price, shape)));
  const floorNanoUsd = Math.max(0, ...prices.map((price) => floorOf(price, estimatedInputTokens, shape.counts?.characters)));
  return {
    candidates: usable.map(({ candidate }) => candidate),
    prices: new Map(usable.map(({ candidate, prices }) => [candidate.channel.id, prices])),
    boundNanoUsd,
    floorNanoUsd: Math.min(floorNanoUsd, boundNanoUsd),
  };
}

/** What an answer of a channel has cost: of all models that it may come from the dearest. A channel without a price costs nothing, and says what it lacks. */
export function costAt(prices: RequestPrices, channelId: string, usage: Usage, tiers?: readonly string[]): Cost {
  const costs = (prices.get(channelId) ?? [noPrice]).map((price) => costOf(price, usage, tiers));
  return {
    nanoUsd: Math.max(...costs.map(({ nanoUsd }) => nanoUsd)),
    unpriced: [...new Set(costs.flatMap(({ unpriced }) => unpriced))],
  };
}

/** What an attempt that was given up is charged: its input, at the plain rate. */
export function floorAt(prices: RequestPrices, channelId: string, inputTokens: number, characters?: number): number {
  return Math.max(0, ...(prices.get(channelId) ?? []).map((price) => floorOf(price, inputTokens, characters)));
}

interface PricedCandidate {
  readonly candidate: Candidate;
  readonly prices: readonly Price[];
  readonly unpriced: readonly PricedUnit[];
}

function toPriced({ book, model, otherModels, shape }: RequestToPrice, candidate: Candidate): PricedCandidate {
  const { channel, upstreamModel } = candidate;
  const found = [book.priceOf(channel, model, upstreamModel), ...otherModels.map((other) => book.priceOf(channel, other))];
  return {
    candidate,
    prices: found.map((price) => price ?? noPrice),
    unpriced: found.flatMap((price) => findUnpriced(price, shape)),
  };
}

function toRefusal(model: string, unpriced: readonly PricedUnit[]): Refusal {
  const what = [...new Set(unpriced)].join(', ');
  return {
    code: 'model_not_priced',
    message: `This key has a budget, and nobody has said what the model "${model}" costs (${what}). Its Channel can: models[].price.`,
    param: 'model',
  };
}
