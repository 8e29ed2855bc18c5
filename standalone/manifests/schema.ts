import { Ajv, type ErrorObject } from 'ajv';
import type { StructuralSchema } from '../../crds/schema-file.ts';
import type { FieldMistake, FieldPath } from './field-mistake.ts';
import { parseInstant } from './instant.ts';

export type CheckSchema = (value: unknown) => readonly FieldMistake[];

/**
 * Compiles a structural schema to a check that finds all mistakes of a value: what the API server's schema validation and `fieldValidation=Strict` would say, with the
 * list of what is allowed. Integers are held to ±(2^53 − 1): beyond it a number would silently change its value here.
 */
export function compileSchema(schema: StructuralSchema): CheckSchema {
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: false, ownProperties: true });
  ajv.addFormat('date-time', (text) => parseInstant(text) !== undefined);
  ajv.addFormat('int32', { type: 'number', validate: (value) => Math.abs(value) <= 2_147_483_648 });
  ajv.addFormat('int64', { type: 'number', validate: Number.isSafeInteger });
  const validate = ajv.compile(toJsonSchema(schema));
  return (value) => {
    validate(value);
    const mistakes = (validate.errors ?? []).map(toMistake);
    return [...mistakes, ...findRepeats(schema, value, [])];
  };
}

/** What RE2 means by `\s` inside of brackets: ASCII only, and no vertical tab. */
const asciiSpace = '\\t\\n\\f\\r ';

/** The same in JSON Schema: unknown fields are refused where fields are listed, and patterns mean what RE2 means by them. */
function toJsonSchema(schema: StructuralSchema): Record<string, unknown> {
  const { properties, items, additionalProperties, pattern, default: _default, ...rest } = schema;
  const plain: Record<string, unknown> = Object.fromEntries(
    Object.entries(rest).filter(([keyword]) => !keyword.startsWith('x-kubernetes-')),
  );
  if (properties !== undefined) {
    plain['properties'] = Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, toJsonSchema(property)]));
  }
  if (schema.type === 'object')
    plain['additionalProperties'] = additionalProperties === undefined ? false : toJsonSchema(additionalProperties);
  if (items !== undefined) plain['items'] = toJsonSchema(items);
  if (pattern !== undefined) plain['pattern'] = pattern.replaceAll('\\s', asciiSpace);
  return plain;
}

function toMistake(error: ErrorObject): FieldMistake {
  const path = toPath(error);
  if (error.keyword === 'additionalProperties') return { path, message: `unknown field; allowed here: ${listAllowed(error)}` };
  const describe = descriptions[error.keyword];
  return { path, message: describe === undefined ? (error.message ?? 'is not valid') : describe(error) };
}

const descriptions: Readonly<Record<string, (error: ErrorObject) => string>> = {
  required: () => 'is required',
  type: ({ schema, data }) => `must be ${withArticle(schema === 'array' ? 'list' : String(schema))}, is ${withArticle(nameType(data))}`,
  enum: ({ schema }) => `must be one of: ${(schema as string[]).join(', ')}`,
  pattern: ({ schema }) => `must match ${String(schema).replaceAll(asciiSpace, '\\s')}`,
  minimum: ({ schema }) => `must be at least ${String(schema)}`,
  maximum: ({ schema }) => `must be at most ${String(schema)}`,
  minLength: ({ schema }) => `must have at least ${countOf(schema, 'character')}`,
  maxLength: ({ schema }) => `must have at most ${countOf(schema, 'character')}`,
  minItems: ({ schema }) => `must have at least ${countOf(schema, 'entry', 'entries')}`,
  maxItems: ({ schema }) => `must have at most ${countOf(schema, 'entry', 'entries')}`,
  minProperties: ({ schema }) => `must have at least ${countOf(schema, 'field')}`,
  maxProperties: ({ schema }) => `must have at most ${countOf(schema, 'entry', 'entries')}`,
  format: ({ schema }) =>
    schema === 'date-time'
      ? 'must be an RFC 3339 time, for example 2030-01-31T00:00:00Z'
      : 'must be an integer between -9007199254740991 and 9007199254740991',
};

function countOf(count: unknown, one: string, many = `${one}s`): string {
  return `${String(count)} ${count === 1 ? one : many}`;
}

function withArticle(type: string): string {
  if (type === 'null') return 'null';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function nameType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'list';
  return typeof value;
}

function listAllowed({ parentSchema }: ErrorObject): string {
  const names = Object.keys((parentSchema?.['properties'] as Record<string, unknown> | undefined) ?? {});
  return names.length === 0 ? 'none' : names.join(', ');
}

/** JSON pointer → path. A label that is called `0` reads as a position: the path is only shown, so that does no harm. */
function toPath({ instancePath, keyword, params }: ErrorObject): FieldPath {
  const parts = instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^(0|[1-9][0-9]*)$/.test(part) ? Number(part) : part));
  const names = params as { additionalProperty?: string; missingProperty?: string };
  if (keyword === 'additionalProperties') return [...parts, names.additionalProperty ?? ''];
  if (keyword === 'required') return [...parts, names.missingProperty ?? ''];
  return parts;
}

/** `x-kubernetes-list-type: set` allows no entry twice, `map` no two entries with the same keys. */
function findRepeats(schema: StructuralSchema, value: unknown, path: FieldPath): readonly FieldMistake[] {
  if (Array.isArray(value)) {
    const inside = value.flatMap((item, position) => findRepeats(schema.items ?? {}, item, [...path, position]));
    return [...findRepeatedEntries(schema, value, path), ...inside];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) => {
    const childSchema = schema.properties?.[name];
    return childSchema === undefined ? [] : findRepeats(childSchema, child, [...path, name]);
  });
}

function findRepeatedEntries(schema: StructuralSchema, list: readonly unknown[], path: FieldPath): readonly FieldMistake[] {
  const type = schema['x-kubernetes-list-type'];
  if (type !== 'set' && type !== 'map') return [];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const seen = new Map<string, number>();
  const mistakes: FieldMistake[] = [];
  for (const [position, item] of list.entries()) {
    const identity =
      type === 'set' ? JSON.stringify(item) : JSON.stringify(keys.map((key) => (item as Record<string, unknown> | null)?.[key]));
    const first = seen.get(identity);
    if (first === undefined) {
      seen.set(identity, position);
      continue;
    }
    const what = type === 'set' ? 'the same entry' : `the same ${keys.join(' and ')}`;
    mistakes.push({ path: [...path, position], message: `has ${what} as entry ${first}; each may be there once` });
  }
  return mistakes;
}
