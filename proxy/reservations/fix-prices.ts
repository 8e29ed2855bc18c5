import { estimateInputTokens, estimateMediaTokens } from '../../core/estimate.ts';
import type { CostShape } from '../../core/price.ts';
import type { Refusal } from '../../core/refusals.ts';
import { type Exchange, required } from '../exchange.ts';
import { toOutputBound } from './output-bound.ts';
import type { Parts } from '../parts.ts';
import { priceRequest } from '../prices/price-request.ts';

type PricingParts = Pick<Parts, 'prices' | 'unpricedModels' | 'learntOutputs'>;

/**
 * Works out once what a request may cost at each of its channels, and leaves out those that have no price where a budget needs one: `model_not_priced` when none is left.
 * What uses no tokens costs nothing.
 */
export function fixPrices(exchange: Exchange, parts: PricingParts): Refusal | undefined {
  const shape = required(exchange.shape);
  if (!exchange.surface.metered || shape.model === undefined) return undefined;
  const { record } = required(exchange.key);
  const priced = priceRequest({
    book: parts.prices,
    unpricedModels: parts.unpricedModels,
    candidates: exchange.candidates,
    model: shape.model,
    otherModels: shape.otherModels,
    shape: toCostShape(exchange, parts.learntOutputs.of(record.id, shape.model)),
    estimatedInputTokens: estimateInputTokens(required(exchange.prompt)),
    hasBudget: record.budgets?.some(({ mode }) => mode === 'Enforce') === true,
  });
  if ('refusal' in priced) return priced.refusal;
  exchange.candidates = priced.candidates;
  exchange.prices = priced.prices;
  exchange.costBounds = priced;
  return undefined;
}

function toCostShape(exchange: Exchange, learntOutputTokens: number | undefined): CostShape {
  const { shape, prompt, priceFields } = exchange;
  const measured = required(prompt);
  const { units = [], ...fields } = priceFields;
  return {
    ...fields,
    units: measured.audios > 0 ? [...units, 'audioInput'] : units,
    promptBytes: measured.textBytes,
    mediaTokens: measured.tokens + estimateMediaTokens(measured),
    maxOutputTokens: toOutputBound(exchange),
    choices: required(shape).choices,
    counts: required(shape).counts,
    learntOutputTokens,
  };
}
