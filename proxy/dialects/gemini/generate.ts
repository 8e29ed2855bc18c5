import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import { visitMembers } from '../deep-members.ts';
import type { Body, Meter, MeterOptions, PathParameters, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { makeFreeMeter } from '../json-meter.ts';
import { invalid } from '../request-fields.ts';
import { readGeminiBody } from './body-rules.ts';
import { checkFieldInteger, field, fieldInteger, fieldObject, fieldObjects, readModel, spliceModels } from './fields.ts';
import { measureContents } from './measure.ts';
import { makeGeminiMeter } from './meter.ts';
import { toGeminiPriceFields } from './price-fields.ts';
import { toSurfaces } from './surfaces.ts';

/** `alt=proto` and `alt=media` would hide the usage. */
const inJson = { allowedQuery: ['alt'], queryValues: { alt: ['json', 'sse'] } } as const;

const surfaces: readonly Surface[] = [
  ...toSurfaces('generateContent', { name: 'generate_content', scope: 'chat', operation: 'chat', metered: true, ...inJson }),
  ...toSurfaces('streamGenerateContent', {
    name: 'stream_generate_content',
    scope: 'chat',
    operation: 'chat',
    metered: true,
    streamsList: true,
    ...inJson,
  }),
  ...toSurfaces('countTokens', { name: 'count_tokens', scope: 'chat', operation: 'count_tokens', metered: false }),
];

const checks: readonly Check<Body>[] = [
  (body) => (fieldObjects(body, 'tools') === undefined ? invalid('tools', 'a list of objects') : undefined),
  checkGenerationConfig,
  (body) => (fieldObject(body, 'generateContentRequest') === undefined ? invalid('generateContentRequest', 'an object') : undefined),
];

/** Source: Gemini API reference, "Generating content", "Counting tokens". */
export const generateDriver: SurfaceDriver = {
  surfaces,
  readBody: readGeminiBody,
  parseShape,
  measure: measureContents,
  toPriceFields: toGeminiPriceFields,
  spliceFor: ({ shape, upstreamModel }) => spliceModels(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter,
};

/**
 * `maxOutputTokens` bounds thoughts and candidates together, although they are told apart: where one comes to the bound, so do the two (googleapis/python-genai#2062). A budget of
 * thoughts is advice to the model, and inside it.
 */
function parseShape(body: Body, surface: Surface, parameters: PathParameters): { shape: RequestShape } | { refusal: Refusal } {
  const named = readModel(parameters, [body['model'], fieldObject(body, 'generateContentRequest')?.['model']]);
  if ('refusal' in named) return named;
  const refusal = firstRefusal(checks, body);
  if (refusal !== undefined) return { refusal };
  const generates = surface.operation === 'chat';
  const config = fieldObject(body, 'generationConfig') ?? {};
  // a bound of 0 is none: the field of a protobuf message that is not set
  const maximum = fieldInteger(config, 'maxOutputTokens') ?? 0;
  return {
    shape: {
      model: named.model,
      otherModels: [],
      stream: surface.streamsList === true,
      maxOutputTokens: generates ? (maximum === 0 ? undefined : maximum) : 0,
      choices: Math.max(1, fieldInteger(config, 'candidateCount') ?? 1),
      asksUsage: true,
      ...(readsElsewhere(body) ? { readsElsewhere: true } : {}),
    },
  };
}

/** A video that is private is refused with the same words as a model that the account may not use. */
function readsElsewhere(body: Body): boolean {
  let found = false;
  visitMembers(body, '', ({ name }) => {
    found ||= name.replaceAll('_', '').toLowerCase() === 'fileuri';
  });
  return found;
}

function checkGenerationConfig(body: Body): Refusal | undefined {
  const config = fieldObject(body, 'generationConfig');
  if (config === undefined) return invalid('generationConfig', 'an object');
  const modalities = field(config, 'responseModalities') ?? [];
  return (
    checkFieldInteger(config, 'maxOutputTokens', 0) ??
    checkFieldInteger(config, 'candidateCount', 0, 128) ??
    (Array.isArray(modalities) ? undefined : invalid('responseModalities', 'a list'))
  );
}

function makeMeter(options: MeterOptions): Meter {
  return options.surface.metered ? makeGeminiMeter(options) : makeFreeMeter();
}
