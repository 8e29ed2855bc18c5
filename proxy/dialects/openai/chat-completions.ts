import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import { parseOpenAIUsage } from '../../../core/usage.ts';
import type { Body, MeterOptions, RequestShape, Splice, SpliceOptions, Surface, SurfaceDriver } from '../dialect.ts';
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
  isObject,
  spliceModel,
  toNumber,
  toOtherModels,
} from '../request-fields.ts';
import { toOpenAIPriceFields } from './price-fields.ts';
import { makeOpenAIStreamMeter } from './stream-meter.ts';

const surfaces: readonly Surface[] = [
  {
    dialect: 'OpenAI',
    name: 'chat_completions',
    method: 'POST',
    path: '/v1/chat/completions',
    scope: 'chat',
    operation: 'chat',
    upstreamPath: '/v1/chat/completions',
    body: 'json',
    metered: true,
    allowedQuery: [],
  },
];

const checks: readonly Check<Body>[] = [
  checkLookalikes(['model', 'models', 'tools', 'stream', 'stream_options', 'n', 'max_tokens', 'max_completion_tokens']),
  checkModel,
  checkModels,
  checkTools,
  checkBoolean('stream'),
  checkStreamOptions,
  checkInteger('n', 1, 128),
  checkInteger('max_tokens', 0),
  checkInteger('max_completion_tokens', 0),
];

/** Source: OpenAI API reference, "Chat Completions". */
export const chatCompletionsDriver: SurfaceDriver = {
  surfaces,
  parseShape(body) {
    const refusal = firstRefusal(checks, body);
    return refusal === undefined ? { shape: toChatShape(body) } : { refusal };
  },
  measure: (body) => measurePrompt(body, toMedia),
  toPriceFields: toOpenAIPriceFields,
  spliceFor,
  withholdsUsage,
  makeMeter,
};

function toChatShape(body: Body): RequestShape {
  // The newer name and the older one; a provider that takes both keeps to one of them, we do not know which.
  const maximums = [toNumber(body, 'max_tokens'), toNumber(body, 'max_completion_tokens')].filter((value) => value !== undefined);
  const options = body['stream_options'];
  return {
    model: body['model'] as string,
    otherModels: toOtherModels(body),
    stream: body['stream'] === true,
    // OpenAI refuses 0, and to some compatible servers (Ollama) it means without end
    maxOutputTokens: maximums.length === 0 || maximums.includes(0) ? undefined : Math.max(...maximums),
    choices: toNumber(body, 'n') ?? 1,
    asksUsage: isObject(options) && options['include_usage'] === true,
  };
}

/** Content parts of a chat message. Source: OpenAI API reference, "Chat Completions", content parts; `video_url` and `audio_url` are vLLM's. */
function toMedia(part: Body): Media | undefined {
  switch (part['type']) {
    case 'image_url':
      return { kind: 'image', data: toEmbedded(isObject(part['image_url']) ? part['image_url']['url'] : part['image_url']) };
    case 'input_audio':
      return { kind: 'audio', data: textOf(part['input_audio'], 'data') };
    case 'audio_url':
      return { kind: 'audio', data: toEmbedded(textOf(part['audio_url'], 'url')) };
    case 'file':
      return { kind: 'file', data: textOf(part['file'], 'file_data') };
    case 'video_url':
      return { kind: 'file', data: toEmbedded(textOf(part['video_url'], 'url')) };
    default:
      return undefined;
  }
}

function textOf(value: unknown, field: string): string | undefined {
  const text = isObject(value) ? value[field] : undefined;
  return typeof text === 'string' ? text : undefined;
}

function checkStreamOptions({ stream_options: options }: Body): Refusal | undefined {
  if (isAbsent(options)) return undefined;
  if (!isObject(options)) return invalid('stream_options', 'an object');
  return checkBoolean('include_usage')(options) === undefined
    ? undefined
    : invalid('stream_options', 'an object whose include_usage is true or false');
}

function spliceFor({ surface, shape, body, upstreamModel }: SpliceOptions): readonly Splice[] {
  const splices = spliceModel(shape, upstreamModel);
  if (!withholdsUsage(surface, shape)) return splices;
  const given = isObject(body['stream_options']) ? body['stream_options'] : {};
  return [...splices, { field: 'stream_options', json: JSON.stringify({ ...given, include_usage: true }) }];
}

function withholdsUsage(_surface: Surface, shape: RequestShape): boolean {
  return shape.stream && !shape.asksUsage;
}

function makeMeter(options: MeterOptions): ReturnType<SurfaceDriver['makeMeter']> {
  return options.stream ? makeOpenAIStreamMeter(options) : makeJsonMeter(options, parseOpenAIUsage);
}
