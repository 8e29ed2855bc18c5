import type { Check } from '../../core/decision.ts';
import { isObject } from '../../core/json.ts';
import type { Refusal } from '../../core/refusals.ts';
import { virtualKeyPattern } from '../../core/virtual-key.ts';
import { foldName } from '../bodies/json-scan.ts';
import { type DeepMember, visitMembers } from './deep-members.ts';
import type { Body, RequestShape, Splice } from './dialect.ts';

/** The CRDs' pattern without the wildcards: a client names one model. */
const modelPattern = /^[A-Za-z0-9._:/@-]{1,128}$/;
const maximumInteger = 1_000_000_000;

/** True for a model name that is safe in a path, a log and a metric too: no empty, `.` or `..` segments, and no virtual key in the wrong place. */
export function isModelName(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    modelPattern.test(value) &&
    !virtualKeyPattern.test(value) &&
    value.split('/').every((segment) => !['', '.', '..'].includes(segment))
  );
}

/** `model` is there and is a model name. */
export function checkModel(body: Body): Refusal | undefined {
  if (isAbsent(body['model'])) return invalid('model', 'given');
  return isModelName(body['model']) ? undefined : invalid('model', 'the name of a model');
}

/** `models`, which some providers fall back to, is a list of model names, and `moderation` names one, if any. Source of the second: OpenAI API reference, "Responses". */
export function checkModels(body: Body): Refusal | undefined {
  const { models, moderation } = body;
  if (findLookalikes(body, ['moderation']).length > 0) return invalid('moderation', 'written in lower case');
  if (!isAbsent(moderation) && !isModeration(moderation)) return invalid('moderation', 'an object whose model is the name of a model');
  if (isAbsent(models) || (Array.isArray(models) && models.every(isModelName))) return undefined;
  return invalid('models', 'a list of names of models');
}

function isModeration(value: unknown): boolean {
  return isObject(value) && findLookalikes(value, ['model']).length === 0 && (isAbsent(value['model']) || isModelName(value['model']));
}

/** `tools` is a list of objects, and where one, or one in it, names a model, it is a model name. */
export function checkTools({ tools }: Body): Refusal | undefined {
  if (isAbsent(tools)) return undefined;
  if (!Array.isArray(tools) || !tools.every(isObject)) return invalid('tools', 'a list of objects');
  const named = toToolMembers(tools);
  const lookalike = named.find(({ name }) => name !== 'model');
  if (lookalike !== undefined) return invalid('tools', `without the field "${lookalike.name}"`);
  return named.every(({ value }) => isAbsent(value) || isModelName(value))
    ? undefined
    : invalid('tools', 'without a model that is no name');
}

/** Members of tools, and of tools in them, that name a model or seem to. */
function toToolMembers(tools: unknown): readonly DeepMember[] {
  const found: DeepMember[] = [];
  visitMembers(tools, 'tools', (member) => {
    if (foldName(member.name) === 'model') found.push(member);
  });
  return found;
}

/** true, false, null or absent */
export function checkBoolean(field: string): Check<Body> {
  return (body) => (isAbsent(body[field]) || typeof body[field] === 'boolean' ? undefined : invalid(field, 'true or false'));
}

/** an integer of this range, null or absent */
export function checkInteger(field: string, minimum: number, maximum: number = maximumInteger): Check<Body> {
  return (body) => {
    const value = body[field];
    if (isAbsent(value)) return undefined;
    const right = typeof value === 'number' && Number.isInteger(value) && value >= minimum && value <= maximum;
    return right ? undefined : invalid(field, `an integer from ${minimum} to ${maximum}`);
  };
}

/**
 * Refuses fields that differ from those that matter in upper and lower case only: servers written in Go (Ollama and others) read `MODEL`
 * as `model`, so that a key could reach a model that we have not seen.
 */
export function checkLookalikes(fields: readonly string[]): Check<Body> {
  return (body) => {
    const lookalike = findLookalikes(body, fields)[0];
    return lookalike === undefined ? undefined : invalid(lookalike, 'written in lower case');
  };
}

/** Every further model that a checked body names. */
export function toOtherModels(body: Body): string[] {
  const models = Array.isArray(body['models']) ? body['models'] : [];
  const moderation = isObject(body['moderation']) ? [body['moderation']['model']] : [];
  return [...new Set([...models, ...toToolModels(body['tools']), ...moderation].filter((model) => typeof model === 'string'))];
}

/** Every model that checked tools name, at any depth. */
export function toToolModels(tools: unknown): readonly string[] {
  return toToolMembers(tools)
    .map(({ value }) => value)
    .filter((model) => typeof model === 'string');
}

/** The model's name as the provider knows it, where it is another. */
export function spliceModel(shape: RequestShape, upstreamModel: string | undefined): readonly Splice[] {
  const name = upstreamModel ?? shape.model;
  return name === undefined || (name === shape.model && shape.replacesModel !== true)
    ? []
    : [{ field: 'model', json: JSON.stringify(name) }];
}

/** The number of a checked field; undefined for null and absent. */
export function toNumber(body: Body, field: string): number | undefined {
  const value = body[field];
  return typeof value === 'number' ? value : undefined;
}

/** Providers read a field that is null like one that is not there. */
export function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

export function invalid(param: string, wanted: string): Refusal {
  return { code: 'invalid_request', message: `The field "${param}" must be ${wanted}.`, param };
}

function findLookalikes(value: Body, fields: readonly string[]): string[] {
  return Object.keys(value).filter((name) => !fields.includes(name) && fields.includes(foldName(name)));
}
