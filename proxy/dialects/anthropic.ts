import { type Check, firstRefusal } from '../../core/decision.ts';
import type { Refusal } from '../../core/refusals.ts';
import { parseAnthropicUsage } from '../../core/usage.ts';
import { makeAnthropicStreamMeter } from './anthropic-meter.ts';
import type { Body, DialectDriver, Meter, MeterOptions, RequestShape, Splice, SpliceOptions, Surface } from './dialect.ts';
import { makeFreeMeter, makeJsonMeter } from './json-meter.ts';
import { type Media, measurePrompt } from './measure-prompt.ts';
import { toAnthropicPriceFields } from './price-fields.ts';
import {
  checkBoolean,
  checkInteger,
  checkLookalikes,
  checkModel,
  checkModels,
  checkTools,
  isObject,
  toNumber,
  toOtherModels,
} from './request-fields.ts';

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
  metered: false,
  allowedQuery: betaQuery,
} as const;
const read = { ...anthropic, method: 'GET', scope: 'read', upstreamPath: '/v1/models', metered: false, allowedQuery: [] } as const;

/** `/v1/models` without the prefix belongs to two dialects and is listed once, in OpenAI's table. */
const surfaces: readonly Surface[] = [
  { ...messages, path: '/v1/messages' },
  { ...countTokens, path: '/v1/messages/count_tokens' },
  { ...messages, path: '/anthropic/v1/messages' },
  { ...countTokens, path: '/anthropic/v1/messages/count_tokens' },
  { ...read, name: 'models', path: '/anthropic/v1/models', operation: 'models' },
  { ...read, name: 'model', path: '/anthropic/v1/models/:model', operation: 'model' },
];

const checks: readonly Check<Body>[] = [
  checkLookalikes(['model', 'models', 'tools', 'stream', 'max_tokens']),
  checkModel,
  checkModels,
  checkTools,
  checkBoolean('stream'),
  checkInteger('max_tokens', 0),
];

/** The Anthropic wire format. Source: Anthropic API reference, "Messages", "Count Message tokens". */
export const anthropicDriver: DialectDriver = {
  dialect: 'Anthropic',
  surfaces,
  parseShape,
  measure: (body) => measurePrompt(body, toMedia),
  toPriceFields: toAnthropicPriceFields,
  spliceFor,
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

function spliceFor({ shape, upstreamModel }: SpliceOptions): readonly Splice[] {
  return upstreamModel === undefined || upstreamModel === shape.model ? [] : [{ field: 'model', json: JSON.stringify(upstreamModel) }];
}

function makeMeter(options: MeterOptions): Meter {
  if (!options.surface.metered) return makeFreeMeter();
  return options.stream ? makeAnthropicStreamMeter(options) : makeJsonMeter(options, parseAnthropicUsage);
}
