import type { StructuralSchema } from '../../crds/schema-file.ts';

/**
 * Removes what the API server does not keep: `field: null` (also written `field:`) means that the field is absent. Null entries of lists stay, and are refused by the
 * schema. Gives a copy.
 */
export function withoutNulls(schema: StructuralSchema | undefined, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutNulls(schema?.items, item));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .filter(([name, child]) => child !== null || childSchema(schema, name) === undefined)
    .map(([name, child]): [string, unknown] => [name, withoutNulls(childSchema(schema, name), child)]);
  return Object.fromEntries(entries);
}

function childSchema(schema: StructuralSchema | undefined, name: string): StructuralSchema | undefined {
  const properties = schema?.properties;
  return properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : schema?.additionalProperties;
}
