import { type Check, firstRefusal } from '../../../core/decision.ts';
import { parseOpenAIUsage } from '../../../core/usage.ts';
import type { Body, Splice, SpliceOptions, Surface, SurfaceDriver } from '../dialect.ts';
import { makeJsonMeter } from '../json-meter.ts';
import { checkReferences } from '../kept-references.ts';
import { type Media, measurePrompt, toEmbedded } from '../measure-prompt.ts';
import { isObject } from '../../../core/json.ts';
import { checkLookalikes, checkModel, checkModels, checkTools, isAbsent, toOtherModels } from '../request-fields.ts';

const surfaces: readonly Surface[] = [
  {
    dialect: 'OpenAI',
    name: 'moderations',
    method: 'POST',
    path: '/v1/moderations',
    scope: 'chat',
    operation: 'moderations',
    upstreamPath: '/v1/moderations',
    body: 'json',
    metered: true,
    allowedQuery: [],
  },
];

/** What OpenAI takes where the client names none. A key with a list of models has to allow this name, and it is sent on: what was checked is what answers. */
const defaultModel = 'omni-moderation-latest';

const checks: readonly Check<Body>[] = [
  checkLookalikes(['model', 'models', 'tools', 'input']),
  (body) => (isAbsent(body['model']) ? undefined : checkModel(body)),
  checkModels,
  checkTools,
  (body) => checkReferences(body),
];

/** Free at OpenAI, and a request like any other. Source: OpenAI API reference, "Moderations". */
export const moderationsDriver: SurfaceDriver = {
  surfaces,
  parseShape(body) {
    const refusal = firstRefusal(checks, body);
    if (refusal !== undefined) return { refusal };
    const model = isAbsent(body['model']) ? defaultModel : (body['model'] as string);
    return { shape: { model, otherModels: toOtherModels(body), stream: false, maxOutputTokens: 0, choices: 1, asksUsage: false } };
  },
  measure: (body) => measurePrompt(body, toMedia),
  toPriceFields: () => ({}),
  spliceFor,
  withholdsUsage: () => false,
  makeMeter: (options) => makeJsonMeter(options, parseOpenAIUsage),
};

function spliceFor({ shape, body, upstreamModel }: SpliceOptions): readonly Splice[] {
  const model = upstreamModel ?? shape.model;
  return model === body['model'] ? [] : [{ field: 'model', json: JSON.stringify(model) }];
}

function toMedia(part: Body): Media | undefined {
  if (part['type'] !== 'image_url') return undefined;
  return { kind: 'image', data: toEmbedded(isObject(part['image_url']) ? part['image_url']['url'] : part['image_url']) };
}
