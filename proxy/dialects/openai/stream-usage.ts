import type { Refusal } from '../../../core/refusals.ts';
import { parseOpenAIUsage } from '../../../core/usage.ts';
import type { Body, Meter, MeterOptions, RequestShape, Splice, SpliceOptions, Surface } from '../dialect.ts';
import { makeJsonMeter } from '../json-meter.ts';
import { isObject } from '../../../core/json.ts';
import { checkBoolean, invalid, isAbsent, spliceModel } from '../request-fields.ts';
import { makeOpenAIStreamMeter } from './stream-meter.ts';

/** What chat and the older completions share: usage is in a stream only where it was asked for. Source: OpenAI API reference, "stream_options". */
export function checkStreamOptions({ stream_options: options }: Body): Refusal | undefined {
  if (isAbsent(options)) return undefined;
  if (!isObject(options)) return invalid('stream_options', 'an object');
  return checkBoolean('include_usage')(options) === undefined
    ? undefined
    : invalid('stream_options', 'an object whose include_usage is true or false');
}

/** Mistral answers 422 to fields that it does not know, `stream_options` among them, and tells the usage of a stream in its last chunk anyway. */
export function tellsUsageUnasked(baseUrl: string): boolean {
  return URL.parse(baseUrl)?.hostname === 'api.mistral.ai';
}

/** The client itself wants the chunk with the usage. */
export function asksStreamUsage({ stream_options: options }: Body): boolean {
  return isObject(options) && options['include_usage'] === true;
}

/** The provider's name of the model, and the question for usage that the client did not ask. */
export function spliceText({ surface, shape, body, upstreamModel, tellsUsageUnasked }: SpliceOptions): readonly Splice[] {
  const splices = spliceModel(shape, upstreamModel);
  if (!withholdsStreamUsage(surface, shape) || tellsUsageUnasked === true) return splices;
  const given = isObject(body['stream_options']) ? body['stream_options'] : {};
  return [...splices, { field: 'stream_options', json: JSON.stringify({ ...given, include_usage: true }) }];
}

/** The gateway has asked for the chunk with the usage, so the client does not get it. */
export function withholdsStreamUsage(_surface: Surface, shape: RequestShape): boolean {
  return shape.stream && !shape.asksUsage;
}

export function makeTextMeter(options: MeterOptions): Meter {
  return options.stream ? makeOpenAIStreamMeter(options) : makeJsonMeter(options, parseOpenAIUsage);
}
