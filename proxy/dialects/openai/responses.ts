import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import { parseResponsesUsage } from '../../../core/usage.ts';
import type { Body, Meter, MeterOptions, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { makeJsonMeter } from '../json-meter.ts';
import { type Media, measurePrompt, toEmbedded } from '../measure-prompt.ts';
import {
  checkBoolean,
  checkInteger,
  checkLookalikes,
  checkModel,
  checkModels,
  checkTools,
  invalid,
  isAbsent,
  isModelName,
  isObject,
  spliceModel,
  toNumber,
  toOtherModels,
} from '../request-fields.ts';
import { checkReferences, checkToolModels, toToolModels } from './responses-fields.ts';
import { toResponsesPriceFields } from './responses-price-fields.ts';
import { makeResponsesStreamMeter } from './responses-stream-meter.ts';

/** The surfaces below a prefix (`/v1`): Azure has the same ones below its own. */
export function toResponsesSurfaces(prefix: string): readonly Surface[] {
  return [
    {
      dialect: 'OpenAI',
      name: 'responses',
      method: 'POST',
      path: `${prefix}/responses`,
      scope: 'chat',
      operation: 'chat',
      upstreamPath: '/v1/responses',
      body: 'json',
      metered: true,
      allowedQuery: [],
    },
  ];
}

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
    'moderation',
    'prompt_cache_options',
  ]),
  checkModel,
  checkModels,
  checkTools,
  checkToolModels,
  checkModeration,
  checkBoolean('stream'),
  checkBoolean('store'),
  checkBoolean('background'),
  checkInteger('max_output_tokens', 0),
  checkBackground,
  checkReferences,
];

/** Source: OpenAI API reference, "Responses". */
export const responsesDriver: SurfaceDriver = {
  surfaces: toResponsesSurfaces('/v1'),
  parseShape(body) {
    const refusal = firstRefusal(checks, body);
    return refusal === undefined ? { shape: toShape(body) } : { refusal };
  },
  measure: (body) => measurePrompt(body, toMedia),
  toPriceFields: toResponsesPriceFields,
  spliceFor: ({ shape, upstreamModel }) => spliceModel(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter,
};

function toShape(body: Body): RequestShape {
  const maximum = toNumber(body, 'max_output_tokens');
  return {
    model: body['model'] as string,
    otherModels: [...new Set([...toOtherModels(body), ...toToolModels(body), ...toModerationModels(body)])],
    stream: body['stream'] === true,
    maxOutputTokens: maximum === 0 ? undefined : maximum,
    choices: 1,
    asksUsage: true,
    ...(body['background'] === true ? { runsOn: true } : {}),
  };
}

function checkModeration({ moderation }: Body): Refusal | undefined {
  if (isAbsent(moderation)) return undefined;
  const isRight = isObject(moderation) && (isAbsent(moderation['model']) || isModelName(moderation['model']));
  return isRight ? undefined : invalid('moderation', 'an object whose model is the name of a model');
}

function toModerationModels({ moderation }: Body): string[] {
  const model = isObject(moderation) ? moderation['model'] : undefined;
  return typeof model === 'string' ? [model] : [];
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
  const meter = options.stream ? makeResponsesStreamMeter(options) : makeJsonMeter(options, parseResponsesUsage);
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
