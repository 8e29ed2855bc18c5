import type { Exchange } from '../exchange.ts';
import type { UpstreamVerdict } from '../upstream/upstream-failure.ts';

/** Whether a provider may say no to something that this request alone asks for: then nothing cools down for the others, who would have to do without for no reason. */
export function mayBeOfRequest({ shape, priceFields }: Pick<Exchange, 'shape' | 'priceFields'>, verdict: UpstreamVerdict): boolean {
  const { otherModels = [], readsElsewhere = false } = shape ?? {};
  // which of several models is meant nobody knows
  const isOfOne = otherModels.length === 0;
  switch (verdict) {
    case 'modelUnknown':
    case 'quotaSpent':
      return !isOfOne;
    case 'modelForbidden':
      return !isOfOne || readsElsewhere;
    case 'throttled':
      // what is spare may be used up while the account is well within its limits. Source: OpenAI guide, "Flex processing", "429 Resource Unavailable"
      return priceFields.serviceTier === 'flex';
    default:
      return false;
  }
}
