import type { Refusal } from '../../../core/refusals.ts';
import type { Body, PathParameters, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { invalid } from '../request-fields.ts';
import { readGeminiBody } from './body-rules.ts';
import { fieldObjects, readModel, spliceModels } from './fields.ts';
import { measureEmbedded } from './measure.ts';
import { makeGeminiMeter } from './meter.ts';
import { toSurfaces } from './surfaces.ts';

const kind = { scope: 'embeddings', operation: 'embeddings', metered: true } as const;

const surfaces: readonly Surface[] = [
  ...toSurfaces('embedContent', { name: 'embed_content', ...kind }),
  ...toSurfaces('batchEmbedContents', { name: 'batch_embed_contents', ...kind }),
];

/** Source: Gemini API reference, "Embeddings". */
export const embedDriver: SurfaceDriver = {
  surfaces,
  readBody: readGeminiBody,
  parseShape,
  measure: measureEmbedded,
  toPriceFields: () => ({}),
  spliceFor: ({ shape, upstreamModel }) => spliceModels(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter: makeGeminiMeter,
};

/** Every request of a batch names its model, and Google refuses any but the path's as well. */
function parseShape(body: Body, _surface: Surface, parameters: PathParameters): { shape: RequestShape } | { refusal: Refusal } {
  const requests = fieldObjects(body, 'requests');
  if (requests === undefined) return { refusal: invalid('requests', 'a list of objects') };
  const named = readModel(parameters, [body['model'], ...requests.map(({ model }) => model)]);
  if ('refusal' in named) return named;
  return { shape: { model: named.model, otherModels: [], stream: false, maxOutputTokens: 0, choices: 1, asksUsage: false } };
}
