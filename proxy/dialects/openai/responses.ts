import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import { parseResponsesUsage } from '../../../core/usage.ts';
import type { Body, Meter, MeterOptions, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { checkReferences, unsupportedReference } from '../kept-references.ts';
import { makeFreeMeter, makeJsonMeter } from '../json-meter.ts';
import { type Media, measurePrompt, toEmbedded } from '../measure-prompt.ts';
import { isObject } from '../../../core/json.ts';
import {
  checkBoolean,
  checkInteger,
  checkLookalikes,
  checkModel,
  checkModels,
  checkTools,
  invalid,
  isAbsent,
  spliceModel,
  toNumber,
  toOtherModels,
} from '../request-fields.ts';
import { checkBroughtTools, toToolShape } from './image-tool.ts';
import { checkStoredIds, idsOfResponse, isStoredId, sizeOfResponse, toStoredReferences } from './stored-responses.ts';
import { toResponsesPriceFields } from './responses-price-fields.ts';
import { withSearches } from './search-count.ts';
import { makeResponsesStreamMeter } from './responses-stream-meter.ts';

const stored = { dialect: 'OpenAI', scope: 'chat', operation: 'stored', body: 'none', metered: false, allowedQuery: [] } as const;
/** SDKs write lists in brackets. */
const retrieveQuery = ['stream', 'starting_after', 'include_obfuscation', 'include', 'include[]'];
const listQuery = ['after', 'before', 'limit', 'order', 'include', 'include[]'];

const surfaces: readonly Surface[] = [
  {
    dialect: 'OpenAI',
    name: 'responses',
    method: 'POST',
    path: '/v1/responses',
    scope: 'chat',
    operation: 'chat',
    upstreamPath: '/v1/responses',
    body: 'json',
    metered: true,
    allowedQuery: [],
  },
  {
    ...stored,
    name: 'response',
    method: 'GET',
    path: '/v1/responses/:id',
    upstreamPath: '/v1/responses/{id}',
    allowedQuery: retrieveQuery,
  },
  { ...stored, name: 'response_deletion', method: 'DELETE', path: '/v1/responses/:id', upstreamPath: '/v1/responses/{id}' },
  {
    ...stored,
    name: 'response_cancellation',
    method: 'POST',
    path: '/v1/responses/:id/cancel',
    upstreamPath: '/v1/responses/{id}/cancel',
  },
  {
    ...stored,
    name: 'response_input_items',
    method: 'GET',
    path: '/v1/responses/:id/input_items',
    upstreamPath: '/v1/responses/{id}/input_items',
    allowedQuery: listQuery,
  },
];

/** Of what the account keeps that which is known whose it is (stored-responses.ts). */
const lookedUp = ['previous_response_id', 'comparison_response_id'];

const checks: readonly Check<Body>[] = [
  checkLookalikes([
    'model',
    'models',
    'tools',
    'stream',
    'max_output_tokens',
    'input',
    'instructions',
    'store',
    'background',
    'previous_response_id',
    'conversation',
    'prompt',
    'prompt_cache_options',
  ]),
  checkModel,
  checkModels,
  checkTools,
  checkBroughtTools,
  checkBoolean('stream'),
  checkBoolean('store'),
  checkBoolean('background'),
  checkInteger('max_output_tokens', 0),
  checkBackground,
  checkPrompt,
  (body) => checkReferences(body, lookedUp),
  checkStoredIds,
];

/** Source: OpenAI API reference, "Responses". */
export const responsesDriver: SurfaceDriver = {
  surfaces,
  parseShape(body, surface, { id }) {
    if (surface.operation === 'stored') return parseStoredShape(surface, id);
    const refusal = firstRefusal(checks, body);
    return refusal === undefined ? { shape: toShape(body) } : { refusal };
  },
  measure: (body) => measurePrompt(body, toMedia),
  toPriceFields: toResponsesPriceFields,
  spliceFor: ({ shape, upstreamModel }) => spliceModel(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter,
  takesAccountFields: true,
  idsOf: idsOfResponse,
  sizeOf: sizeOfResponse,
};

function toShape(body: Body): RequestShape {
  const maximum = toNumber(body, 'max_output_tokens');
  const { toolModels, ...tools } = toToolShape(body);
  return {
    model: body['model'] as string,
    otherModels: [...new Set([...toOtherModels(body), ...toolModels])],
    ...tools,
    stream: body['stream'] === true,
    maxOutputTokens: maximum === 0 ? undefined : maximum,
    choices: 1,
    asksUsage: true,
    references: toStoredReferences(body),
    keepsAnswer: body['store'] !== false,
    ...(body['background'] === true ? { runsOn: true } : {}),
  };
}

/** Of what was answered before: nothing is asked of a model. What is shown of it may be pointed to in its turn. */
function parseStoredShape({ method }: Surface, id: string | undefined): { shape: RequestShape } | { refusal: Refusal } {
  if (!isStoredId(id))
    return { refusal: { code: 'invalid_request', message: 'The id of a response has 1 to 128 letters, digits, "_" and "-".' } };
  return {
    shape: {
      model: undefined,
      otherModels: [],
      stream: false,
      maxOutputTokens: 0,
      choices: 1,
      asksUsage: true,
      references: [{ id, what: 'response' }],
      keepsAnswer: method !== 'DELETE',
    },
  };
}

/** One that the account keeps; the Responses API knows no other. */
function checkPrompt({ prompt }: Body): Refusal | undefined {
  return isAbsent(prompt) ? undefined : unsupportedReference('prompt');
}

/** Its answer comes before its usage is known: only what it may use at most can be charged then. */
function checkBackground(body: Body): Refusal | undefined {
  if (body['background'] !== true || (toNumber(body, 'max_output_tokens') ?? 0) > 0) return undefined;
  return invalid(
    'max_output_tokens',
    'given and above 0 where "background" is true: it is what such a request is charged until its usage is known',
  );
}

function makeMeter(options: MeterOptions): Meter {
  if (!options.surface.metered) return options.stream ? makeReplayMeter(options) : makeFreeMeter();
  const meter = options.stream ? makeResponsesStreamMeter(options) : withSearches(makeJsonMeter(options, parseResponsesUsage));
  const { unseenOutputTokens = 0 } = options;
  return {
    ...meter,
    usage() {
      const known = meter.usage();
      if (known === undefined || known.exact) return known;
      return { ...known, usage: { ...known.usage, outputTokens: Math.max(known.usage.outputTokens, unseenOutputTokens) } };
    },
  };
}

/** Of a stream that is read once more: it was paid for when it was made, but is broken off like any other. One that begins behind its last event is empty. */
function makeReplayMeter(options: MeterOptions): Meter {
  const meter = makeResponsesStreamMeter(options);
  return { ...meter, usage: () => undefined, isCutShort: () => meter.nextSequenceNumber?.() !== 0 && meter.isCutShort?.() === true };
}

/** Parts of the input that are no text. Source: OpenAI API reference, "Responses", input items. */
function toMedia(part: Body): Media | undefined {
  switch (part['type']) {
    case 'input_image':
    case 'computer_screenshot':
      return { kind: 'image', data: toEmbedded(part['image_url']) };
    case 'input_audio':
      return { kind: 'audio', data: textOf(isObject(part['input_audio']) ? part['input_audio']['data'] : part['data']) };
    case 'input_file':
      return { kind: 'file', data: textOf(part['file_data']) };
    case 'image_generation_call':
      return { kind: 'image', data: textOf(part['result']) };
    default:
      return undefined;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
