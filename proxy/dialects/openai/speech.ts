import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import type { Body, Meter, MeterOptions, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { checkReferences } from '../kept-references.ts';
import { measurePrompt } from '../measure-prompt.ts';
import {
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
import { makeMediaStreamMeter, makeSilentMeter } from './media-meter.ts';

const surfaces: readonly Surface[] = [
  {
    dialect: 'OpenAI',
    name: 'audio_speech',
    method: 'POST',
    path: '/v1/audio/speech',
    scope: 'audio',
    operation: 'audio',
    upstreamPath: '/v1/audio/speech',
    body: 'json',
    metered: true,
    allowedQuery: [],
  },
];

const slowest = 0.25;
const fastest = 4;

const checks: readonly Check<Body>[] = [
  checkLookalikes(['model', 'models', 'tools', 'input', 'speed', 'stream_format']),
  checkModel,
  checkModels,
  checkTools,
  checkInput,
  checkSpeed,
  (body) => checkReferences(body),
];

/** Speech from a text: sound that tells nothing of its price, or events of which the last one does. Source: OpenAI API reference, "Create speech". */
export const speechDriver: SurfaceDriver = {
  surfaces,
  parseShape(body) {
    const refusal = firstRefusal(checks, body);
    return refusal === undefined ? { shape: toShape(body) } : { refusal };
  },
  measure: (body) => measurePrompt(body, () => undefined),
  toPriceFields: () => ({}),
  spliceFor: ({ shape, upstreamModel }) => spliceModel(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter,
};

/**
 * Speech has about 21 tokens a second, and a second of it about 15 bytes of text (in scripts of three bytes, too): 1.4 tokens a byte, and never four.
 * Source: OpenAI pricing, gpt-4o-mini-tts: 12 dollars a million tokens are 0.015 dollars a minute.
 */
const usualTokensPerByte = 1.5;
const mostTokensPerByte = 4;
const pauseTokens = 64;

function toShape(body: Body): RequestShape {
  const input = body['input'] as string;
  const bytes = Buffer.byteLength(input);
  const speed = toNumber(body, 'speed') ?? 1;
  return {
    model: body['model'] as string,
    otherModels: toOtherModels(body),
    stream: body['stream_format'] === 'sse',
    maxOutputTokens: Math.ceil((bytes * mostTokensPerByte) / Math.min(1, speed)) + pauseTokens,
    choices: 1,
    asksUsage: true,
    counts: { characters: countCharacters(input) },
    estimatedOutputTokens: Math.ceil((bytes * usualTokensPerByte) / speed),
  };
}

/** What people take for characters, rather than the halves that JavaScript has of some. */
function countCharacters(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function makeMeter(options: MeterOptions): Meter {
  return options.stream ? makeMediaStreamMeter(options) : makeSilentMeter(options);
}

function checkInput({ input }: Body): Refusal | undefined {
  return typeof input === 'string' ? undefined : invalid('input', 'a text');
}

function checkSpeed({ speed }: Body): Refusal | undefined {
  if (isAbsent(speed) || (typeof speed === 'number' && speed >= slowest && speed <= fastest)) return undefined;
  return invalid('speed', `a number from ${slowest} to ${fastest}`);
}
