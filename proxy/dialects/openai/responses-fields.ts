import type { Refusal } from '../../../core/refusals.ts';
import type { Body } from '../dialect.ts';
import { invalid, isAbsent, isModelName, isObject } from '../request-fields.ts';

/**
 * Names of fields that point to something which an account keeps, and of which nobody here knows whose it is. Wherever they stand: an account is shared by tenants.
 * Source: OpenAI API reference, "Responses": input items, tools, environments of tools.
 */
const keptElsewhere: ReadonlySet<string> = new Set([
  'conversation',
  'conversation_id',
  'file_id',
  'file_ids',
  'vector_store_id',
  'vector_store_ids',
  'container_id',
  'skill_id',
  'tunnel_id',
  'assistant_id',
  'thread_id',
]);

/** A client's own names stand below these: schemas of tools and of the output, what it stores along. */
const ownNames: ReadonlySet<string> = new Set([
  'parameters',
  'input_schema',
  'output_schema',
  'schema',
  'metadata',
  'headers',
  'variables',
]);

/** Nothing that the request points to is kept by the account, but for responses and their items, which are looked up (`toStoredReferences`). */
export function checkReferences(body: Body): Refusal | undefined {
  if (!isAbsent(body['prompt'])) return unsupported('prompt');
  let found: string | undefined;
  visit(body, '', (name, value, path) => {
    if (isReference(name, value)) found ??= path;
  });
  return found === undefined ? undefined : unsupported(found);
}

function isReference(name: string, value: unknown): boolean {
  if (isAbsent(value) || (Array.isArray(value) && value.length === 0)) return false;
  // one that is to be made for this request is an object
  return keptElsewhere.has(name) || (name === 'container' && !isObject(value));
}

function unsupported(param: string): Refusal {
  return {
    code: 'unsupported_reference',
    message: `The field "${param}" points to an object that the provider keeps, and the gateway cannot tell whose it is.`,
    param,
  };
}

/** Models that tools name at any depth. */
export function toToolModels({ tools }: Body): readonly string[] {
  const models: string[] = [];
  visit(tools, 'tools', (name, value) => {
    if (name === 'model' && typeof value === 'string') models.push(value);
  });
  return models;
}

/** Wherever a tool names a model, it is a model name. */
export function checkToolModels(body: Body): Refusal | undefined {
  return toToolModels(body).every(isModelName) ? undefined : invalid('tools', 'without a model that is no name');
}

interface Place {
  readonly value: unknown;
  readonly path: string;
}

/** Every member below `root` that is no name of the client's own; no recursion, since a body may be nested a million deep. */
function visit(root: unknown, path: string, look: (name: string, value: unknown, path: string) => void): void {
  const pending: Place[] = [{ value: root, path }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const child of toChildren(next)) {
      if (child.name !== undefined) look(child.name, child.value, child.path);
      if (typeof child.value === 'object') pending.push(child);
    }
  }
}

function toChildren({ value, path }: Place): readonly (Place & { readonly name?: string })[] {
  if (Array.isArray(value)) return value.map((item: unknown, index) => ({ value: item, path: `${path}[${index}]` }));
  if (!isObject(value)) return [];
  return Object.entries(value)
    .filter(([name]) => !ownNames.has(name))
    .map(([name, member]) => ({ name, value: member, path: path === '' ? name : `${path}.${name}` }));
}
