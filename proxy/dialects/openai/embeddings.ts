import { type Check, firstRefusal } from '../../../core/decision.ts';
import { parseOpenAIUsage } from '../../../core/usage.ts';
import type { Body, Surface, SurfaceDriver } from '../dialect.ts';
import { makeJsonMeter } from '../json-meter.ts';
import { measureInputs } from '../measure-prompt.ts';
import { checkLookalikes, checkModel, checkModels, checkTools, spliceModel, toOtherModels } from '../request-fields.ts';
import { toOpenAIPriceFields } from './price-fields.ts';

const surfaces: readonly Surface[] = [
  {
    dialect: 'OpenAI',
    name: 'embeddings',
    method: 'POST',
    path: '/v1/embeddings',
    scope: 'embeddings',
    operation: 'embeddings',
    upstreamPath: '/v1/embeddings',
    body: 'json',
    metered: true,
    allowedQuery: [],
  },
];

const checks: readonly Check<Body>[] = [checkLookalikes(['model', 'models', 'tools']), checkModel, checkModels, checkTools];

/** Source: OpenAI API reference, "Embeddings". */
export const embeddingsDriver: SurfaceDriver = {
  surfaces,
  parseShape(body) {
    const refusal = firstRefusal(checks, body);
    if (refusal !== undefined) return { refusal };
    const named = { model: body['model'] as string, otherModels: toOtherModels(body) };
    return { shape: { ...named, stream: false, maxOutputTokens: 0, choices: 1, asksUsage: false } };
  },
  measure: ({ value }) => measureInputs(value['input']),
  toPriceFields: toOpenAIPriceFields,
  spliceFor: ({ shape, upstreamModel }) => spliceModel(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter: (options) => makeJsonMeter(options, parseOpenAIUsage),
};
