import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Prompt } from '../../../core/estimate.ts';
import type { Refusal } from '../../../core/refusals.ts';
import type { JsonBody } from '../../bodies/json-scan.ts';
import type { Body, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { measureInputs, measurePrompt } from '../measure-prompt.ts';
import {
  checkBoolean,
  checkInteger,
  checkLookalikes,
  checkModel,
  checkModels,
  checkTools,
  invalid,
  isAbsent,
  toNumber,
  toOtherModels,
} from '../request-fields.ts';
import { toOpenAIPriceFields } from './price-fields.ts';
import { asksStreamUsage, checkStreamOptions, makeTextMeter, spliceText, withholdsStreamUsage } from './stream-usage.ts';

const surfaces: readonly Surface[] = [
  {
    dialect: 'OpenAI',
    name: 'completions',
    method: 'POST',
    path: '/v1/completions',
    scope: 'chat',
    operation: 'chat',
    upstreamPath: '/v1/completions',
    body: 'json',
    metered: true,
    allowedQuery: [],
  },
];

/** OpenAI takes so many prompts in one request at most; each of them is answered. */
const mostPrompts = 2048;
/** What OpenAI and Azure stop at where the request sets no bound. */
const defaultMaxTokens = 16;

const checks: readonly Check<Body>[] = [
  checkLookalikes(['model', 'models', 'tools', 'stream', 'stream_options', 'n', 'best_of', 'max_tokens', 'prompt']),
  checkModel,
  checkModels,
  checkTools,
  checkPrompt,
  checkBoolean('stream'),
  checkStreamOptions,
  checkInteger('n', 1, 128),
  checkInteger('best_of', 1, 128),
  checkInteger('max_tokens', 0),
];

/** The older API for text without roles. Source: OpenAI API reference, "Completions". */
export const completionsDriver: SurfaceDriver = {
  surfaces,
  parseShape(body) {
    const refusal = firstRefusal(checks, body);
    return refusal === undefined ? { shape: toShape(body) } : { refusal };
  },
  measure,
  toPriceFields: toOpenAIPriceFields,
  spliceFor: spliceText,
  withholdsUsage: withholdsStreamUsage,
  makeMeter: makeTextMeter,
};

function toShape(body: Body): RequestShape {
  const maximum = toNumber(body, 'max_tokens');
  return {
    model: body['model'] as string,
    otherModels: toOtherModels(body),
    stream: body['stream'] === true,
    // 0 is right beside `echo`; to some compatible servers it means without end
    maxOutputTokens: maximum === 0 ? undefined : maximum,
    defaultOutputTokens: defaultMaxTokens,
    // of `best_of` answers all are made and paid for, and `n` of them shown
    choices: countPrompts(body['prompt']) * Math.max(toNumber(body, 'n') ?? 1, toNumber(body, 'best_of') ?? 1),
    asksUsage: asksStreamUsage(body),
  };
}

/** A text or a list of tokens is one prompt, a list of either is many. */
function countPrompts(prompt: unknown): number {
  return Array.isArray(prompt) && typeof prompt[0] !== 'number' ? Math.max(1, prompt.length) : 1;
}

function checkPrompt({ prompt }: Body): Refusal | undefined {
  if (isAbsent(prompt) || typeof prompt === 'string' || isTokens(prompt)) return undefined;
  const isList = Array.isArray(prompt) && prompt.length <= mostPrompts;
  if (isList && (prompt.every((each) => typeof each === 'string') || prompt.every(isTokens))) return undefined;
  return invalid('prompt', `a text, a list of tokens, or a list of at most ${mostPrompts} of one of these`);
}

function isTokens(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'number');
}

/** Tokens are counted one by one, and everything beside the prompt as text. */
function measure(body: JsonBody): Prompt {
  const whole = measurePrompt(body, () => undefined);
  const prompt = body.members.find(({ name }) => name === 'prompt');
  const { tokens } = measureInputs(body.value['prompt']);
  if (prompt === undefined || tokens === 0) return whole;
  return { ...whole, textBytes: Math.max(0, whole.textBytes - (prompt.valueEnd - prompt.valueStart)), tokens };
}
