import { type Check, firstRefusal } from '../../../core/decision.ts';
import type { Refusal } from '../../../core/refusals.ts';
import type { Body, Meter, MeterOptions, RequestShape, Surface, SurfaceDriver } from '../dialect.ts';
import { measurePrompt } from '../measure-prompt.ts';
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
  isModelName,
  spliceModel,
  toNumber,
  toOtherModels,
} from '../request-fields.ts';
import { makeMediaJsonMeter, makeMediaStreamMeter } from './media-meter.ts';

const surfaces: readonly Surface[] = [
  {
    dialect: 'OpenAI',
    name: 'images_generations',
    method: 'POST',
    path: '/v1/images/generations',
    scope: 'images',
    operation: 'images',
    upstreamPath: '/v1/images/generations',
    body: 'json',
    metered: true,
    allowedQuery: [],
  },
];

/** Fields that hold a model of their own: who draws the SVG, who writes the prompt anew. */
const parts = ['svg', 'prompt_rewriter'];
const decidingFields = ['n', 'size', 'quality', 'stream', 'partial_images', 'output_format', 'frame_count', 'prompt'];

/** What a request for images has to be, also one in a form. */
export const imageChecks: readonly Check<Body>[] = [
  checkLookalikes(['model', 'models', 'tools', ...parts, ...decidingFields]),
  checkModel,
  checkModels,
  checkTools,
  checkParts,
  checkBoolean('stream'),
  checkInteger('n', 1, 128),
  checkInteger('partial_images', 0, 16),
  checkInteger('frame_count', 1, 128),
  ...['size', 'quality', 'output_format'].map(checkText),
];

/**
 * Pictures from a text. The model has to be named: OpenAI's default has changed more than once, and access, price and channel go by it.
 * Source: OpenAI API reference, "Create image".
 */
export const imagesDriver: SurfaceDriver = {
  surfaces,
  parseShape(body) {
    const refusal = firstRefusal(imageChecks, body);
    return refusal === undefined ? { shape: toImageShape(body) } : { refusal };
  },
  measure: (body) => measurePrompt(body, () => undefined),
  toPriceFields: () => ({ units: ['imageOutput'] }),
  spliceFor: ({ shape, upstreamModel }) => spliceModel(shape, upstreamModel),
  withholdsUsage: () => false,
  makeMeter: makeImageMeter,
};

/** Of a checked body. */
export function toImageShape(body: Body): RequestShape {
  const images = toNumber(body, 'n') ?? 1;
  const ofOne = toImageTokens(body);
  return {
    model: body['model'] as string,
    otherModels: [...new Set([...toOtherModels(body), ...parts.flatMap((part) => toPartModel(body[part]))])],
    stream: body['stream'] === true,
    // an SVG is written by a model that thinks, and nothing bounds that
    maxOutputTokens: body['output_format'] === 'svg' ? undefined : ofOne,
    choices: images,
    asksUsage: true,
    counts: { images },
    estimatedOutputTokens: images * ofOne,
  };
}

export function makeImageMeter(options: MeterOptions): Meter {
  return options.stream ? makeMediaStreamMeter(options) : makeMediaJsonMeter(options);
}

/**
 * The most tokens of one image of 1024 × 1024 or fewer pixels. OpenAI's table for gpt-image-1 has 272, 1056 and 4160 and its calculator 7024 for gpt-image-2 in high quality; `xhigh` and
 * `max` have no published numbers. Without a quality the model chooses. Source: OpenAI "Image generation", cost and latency.
 */
const tokensByQuality: Readonly<Record<string, number>> = { low: 512, medium: 2048, xhigh: 14_336, max: 28_672 };
const tokensOfHigh = 7168;
const tokensOfPartial = 100;
const defaultFrames = 9;
const pixelsOfSquare = 1024 * 1024;
/** The largest standard size: what `auto` may choose. */
const pixelsOfAuto = 1536 * 1024;

/** The most tokens that one image may have; larger ones grow with their edges rather than their area (3584 × 2048 has 12,329). */
function toImageTokens(body: Body): number {
  const { quality, size } = body;
  const base =
    typeof quality === 'string' && Object.hasOwn(tokensByQuality, quality) ? (tokensByQuality[quality] ?? tokensOfHigh) : tokensOfHigh;
  const scale = Math.max(1, Math.sqrt(toPixels(size) / pixelsOfSquare));
  const frames = body['output_format'] === 'gif' ? (toNumber(body, 'frame_count') ?? defaultFrames) : 1;
  return Math.ceil(base * scale) * frames + tokensOfPartial * (toNumber(body, 'partial_images') ?? 0);
}

function toPixels(size: unknown): number {
  const match = typeof size === 'string' ? /^([0-9]{1,5})x([0-9]{1,5})$/.exec(size) : null;
  return match === null ? pixelsOfAuto : Number(match[1]) * Number(match[2]);
}

function toPartModel(part: unknown): string[] {
  return isObject(part) && typeof part['model'] === 'string' ? [part['model']] : [];
}

function checkParts(body: Body): Refusal | undefined {
  const wrong = parts.find((field) => !isAbsent(body[field]) && !isRightPart(body[field]));
  return wrong === undefined ? undefined : invalid(wrong, 'an object whose model is the name of a model');
}

function isRightPart(part: unknown): boolean {
  return isObject(part) && checkLookalikes(['model'])(part) === undefined && (isAbsent(part['model']) || isModelName(part['model']));
}

function checkText(field: string): Check<Body> {
  return (body) => (isAbsent(body[field]) || typeof body[field] === 'string' ? undefined : invalid(field, 'a text'));
}
