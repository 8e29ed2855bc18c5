import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import { parseAnthropicAnswerUsage } from '../../../core/usage.ts';
import { makeAnthropicStreamMeter } from './stream-meter.ts';
import type { Body, SurfaceDriver, Meter, MeterOptions, RequestShape, Surface } from '../dialect.ts';
import { makeFreeMeter, makeJsonMeter } from '../json-meter.ts';
import { checkReferences } from '../kept-references.ts';
import { type Media, measurePrompt } from '../measure-prompt.ts';
import { toAnthropicPriceFields } from './price-fields.ts';
import { isObject } from '../../../core/json.ts';
import {
  checkBoolean,
  checkInteger,
  checkLookalikes,
  checkModel,
  checkModels,
  checkTools,
  spliceModel,
  toNumber,
  toOtherModels,
} from '../request-fields.ts';

const anthropic = { dialect: 'Anthropic' } as const;
/** SDKs mark calls of their beta interface with `?beta=true` */
const betaQuery = ['beta'];

const messages = {
  ...anthropic,
  name: 'messages',
  method: 'POST',
  scope: 'chat',
  operation: 'chat',
  upstreamPath: '/v1/messages',
  body: 'json',
  metered: true,
  allowedQuery: betaQuery,
} as const;
const countTokens = {
  ...anthropic,
  name: 'count_tokens',
  method: 'POST',
  scope: 'chat',
  operation: 'count_tokens',
  upstreamPath: '/v1/messages/count_tokens',
  body: 'json',
  metered: false,
  allowedQuery: betaQuery,
} as const;

const surfaces: readonly Surface[] = [
  { ...messages, path: '/v1/messages' },
  { ...countTokens, path: '/v1/messages/count_tokens' },
  { ...messages, path: '/anthropic/v1/messages' },
  { ...countTokens, path: '/anthropic/v1/messages/count_tokens' },
];

const checks: readonly Check<Body>[] = [
  checkLookalikes(['model', 'models', 'tools', 'stream', 'max_tokens']),
  checkModel,
  checkModels,
  checkTools,
  checkBoolean('stream'),
  checkInteger('max_tokens', 0),
  (body) => checkReferences(body),
];

/** Source: Anthropic API reference, "Messages", "Count Message tokens". */
export const messagesDriver: SurfaceDriver = {
  surfaces,
  parseShape,
  measure: (body) => measurePrompt(body, toMedia),
  toPriceFields: toAnthropicPriceFields,
  spliceFor: ({ shape, upstreamModel }) => spliceModel(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter,
};

function parseShape(body: Body, surface: Surface): { shape: RequestShape } | { refusal: Refusal } {
  const refusal = firstRefusal(checks, body);
  if (refusal !== undefined) return { refusal };
  return {
    shape: {
      model: body['model'] as string,
      otherModels: toOtherModels(body),
      stream: surface.operation === 'chat' && body['stream'] === true,
      maxOutputTokens: surface.operation === 'chat' ? toNumber(body, 'max_tokens') : 0,
      choices: 1,
      asksUsage: true,
    },
  };
}

/** Images and documents, also inside the result of a tool. A document of text or of content blocks is read as such. Source: Anthropic API reference, "Messages", content blocks. */
function toMedia(part: Body): Media | undefined {
  const source = part['source'];
  if (!isObject(source) || source['type'] === 'text' || source['type'] === 'content') return undefined;
  const data = typeof source['data'] === 'string' ? source['data'] : undefined;
  if (part['type'] === 'image') return { kind: 'image', data };
  return part['type'] === 'document' ? { kind: 'file', data } : undefined;
}

function makeMeter(options: MeterOptions): Meter {
  if (!options.surface.metered) return makeFreeMeter();
  return options.stream ? makeAnthropicStreamMeter(options) : makeJsonMeter(options, parseAnthropicAnswerUsage);
}
