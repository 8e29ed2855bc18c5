import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Body, Meter, MeterOptions, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { checkReferences } from '../kept-references.ts';
import { type Media, measurePrompt, toEmbedded } from '../measure-prompt.ts';
import { isObject } from '../../../core/json.ts';
import {
  checkBoolean,
  checkInteger,
  checkLookalikes,
  checkModel,
  checkModels,
  checkTools,
  toNumber,
  toOtherModels,
} from '../request-fields.ts';
import { toOpenAIPriceFields } from './price-fields.ts';
import { asksStreamUsage, checkStreamOptions, makeTextMeter, spliceText, withholdsStreamUsage } from './stream-usage.ts';

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
  (body) => checkReferences(body),
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
  spliceFor: spliceText,
  withholdsUsage: withholdsStreamUsage,
  makeMeter,
  takesAccountFields: true,
};

function toChatShape(body: Body): RequestShape {
  // The newer name and the older one; a provider that takes both keeps to one of them, we do not know which.
  const maximums = [toNumber(body, 'max_tokens'), toNumber(body, 'max_completion_tokens')].filter((value) => value !== undefined);
  return {
    model: body['model'] as string,
    otherModels: toOtherModels(body),
    stream: body['stream'] === true,
    // OpenAI refuses 0, and to some compatible servers (Ollama) it means without end
    maxOutputTokens: maximums.length === 0 || maximums.includes(0) ? undefined : Math.max(...maximums),
    choices: toNumber(body, 'n') ?? 1,
    asksUsage: asksStreamUsage(body),
    ...(isObject(body['web_search_options']) ? { webSearches: toNumber(body, 'n') ?? 1 } : {}),
  };
}

/** Usage tells no searches: who asked for them is charged one for each choice, as was reserved. A search model has a fee for each request instead (prices/built-in.ts). */
function makeMeter(options: MeterOptions): Meter {
  const meter = makeTextMeter(options);
  const webSearches = options.shape?.webSearches ?? 0;
  if (webSearches === 0) return meter;
  return {
    ...meter,
    usage() {
      const known = meter.usage();
      return known && { ...known, usage: { ...known.usage, webSearches } };
    },
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
