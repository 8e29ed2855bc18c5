import type { Refusal } from '../../../core/refusals.ts';
import type { Body, PathParameters, RequestShape, Splice } from '../dialect.ts';
import { isObject } from '../../../core/json.ts';
import { invalid, isAbsent, isModelName } from '../request-fields.ts';

/** `maxOutputTokens` → `max_output_tokens`: Google's servers read both. Source: protobuf, "JSON mapping": a parser takes the lowerCamelCase name and the original one. */
export function toSnakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A field in the one spelling that it has, if any; `name` in camel case. That there are not two was made sure of before (body-rules.ts). */
export function field(body: unknown, name: string): unknown {
  if (!isObject(body)) return undefined;
  return Object.hasOwn(body, name) ? body[name] : body[toSnakeCase(name)];
}

/** The object of that name; what is absent has no fields. Undefined for anything else. */
export function fieldObject(body: unknown, name: string): Body | undefined {
  const value = field(body, name);
  if (isAbsent(value)) return {};
  return isObject(value) ? value : undefined;
}

/** A list of objects; what is absent has none. Undefined for anything else. */
export function fieldObjects(body: unknown, name: string): readonly Body[] | undefined {
  const value = field(body, name);
  if (isAbsent(value)) return [];
  return Array.isArray(value) && value.every(isObject) ? value : undefined;
}

/** An integer as protobuf's JSON has them: also as text. Undefined when absent. */
export function fieldInteger(body: Body, name: string): number | undefined {
  const value = field(body, name);
  return isAbsent(value) ? undefined : toInteger(value);
}

const mostTokens = 1_000_000_000;

/** Refuses what is no integer of this range. */
export function checkFieldInteger(body: Body, name: string, minimum: number, maximum: number = mostTokens): Refusal | undefined {
  const value = field(body, name);
  if (isAbsent(value)) return undefined;
  const number = toInteger(value);
  return number !== undefined && number >= minimum && number <= maximum
    ? undefined
    : invalid(name, `an integer from ${minimum} to ${maximum}`);
}

function toInteger(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) ? number : undefined;
}

/** The model of the path; refuses one that is no name, and whatever else in the body names another one. */
export function readModel(
  parameters: PathParameters,
  named: readonly unknown[],
): { readonly model: string } | { readonly refusal: Refusal } {
  const { model } = parameters;
  if (!isModelName(model)) return { refusal: invalid('model', 'the name of a model') };
  const other = named.find((each) => !isAbsent(each) && each !== model && each !== `models/${model}`);
  return other === undefined ? { model } : { refusal: disagreement };
}

const disagreement: Refusal = {
  code: 'invalid_request',
  message: 'The model in the body is another one than that in the path.',
  param: 'model',
};

/** The body's own names of the model, which have to agree with the path's at the provider too. */
export function spliceModels(shape: RequestShape, upstreamModel: string | undefined): readonly Splice[] {
  if (upstreamModel === undefined || upstreamModel === shape.model) return [];
  return [{ field: 'model', json: JSON.stringify(`models/${upstreamModel}`), everyPlace: true }];
}
