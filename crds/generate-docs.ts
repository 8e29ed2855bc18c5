/**
 * Writes the tables of docs/resources.md (fields, rules, kubectl columns, reasons) between their marks `<!-- table: NAME -->` and `<!-- end -->`.
 * With --check it writes nothing and fails when one differs.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { reasons } from '../operator/translate/reasons.ts';
import { readDefinitions, type ResourceDefinition, type StructuralSchema } from './schema-file.ts';

const docsPath = fileURLToPath(new URL('../docs/resources.md', import.meta.url));

/** The text of docs/resources.md with its tables as the CRDs and the operator's reasons say; `text` is what is there now. */
export function withResourceTables(text: string): string {
  const tables = [
    ...readDefinitions().flatMap((definition) => [
      { name: `${definition.kind} fields`, lines: toFieldTable(definition, 'spec') },
      { name: `${definition.kind} rules`, lines: toRules(definition.schema, '') },
      { name: `${definition.kind} status`, lines: toFieldTable(definition, 'status') },
      { name: `${definition.kind} columns`, lines: toColumns(definition) },
    ]),
    {
      name: 'reasons',
      lines: [
        '| reason | meaning |',
        '| --- | --- |',
        ...Object.entries(reasons).map(([reason, meaning]) => `| \`${reason}\` | ${meaning} |`),
      ],
    },
  ];
  return tables.reduce((before, { name, lines }) => withTable(before, name, lines), text);
}

function withTable(text: string, name: string, lines: readonly string[]): string {
  const begin = `<!-- table: ${name} -->\n`;
  const from = text.indexOf(begin);
  const to = text.indexOf('<!-- end -->', from);
  if (from === -1 || to === -1) throw new Error(`the marks of the table "${name}" are missing`);
  return `${text.slice(0, from)}${begin}${lines.join('\n')}\n${text.slice(to)}`;
}

function toFieldTable({ schema }: ResourceDefinition, part: 'spec' | 'status'): readonly string[] {
  return ['| field | type | allowed | meaning |', '| --- | --- | --- | --- |', ...toFieldRows(schema.properties?.[part] ?? {}, '')];
}

function toFieldRows(schema: StructuralSchema, path: string): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const inner = field.type === 'array' ? (field.items ?? {}) : field;
    const shown = `${path === '' ? '' : `${path}.`}${name}${field.type === 'array' ? '[]' : ''}`;
    const required = schema.required?.includes(name) === true ? ['**required**'] : [];
    const allowed = [...required, ...toBounds(field), ...(inner === field ? [] : toBounds(inner))];
    const row = `| \`${shown}\` | ${toType(field)} | ${allowed.join('; ')} | ${toCell(field.description ?? inner.description ?? '')} |`;
    return [row, ...toFieldRows(inner, shown)];
  });
}

function toType(field: StructuralSchema): string {
  if (field.type === 'array') {
    const kind = field['x-kubernetes-list-type'];
    const keys = field['x-kubernetes-list-map-keys'] ?? [];
    const unique = kind === 'map' ? `, one for each \`${keys.join('`, `')}\`` : '';
    return `list of ${toType(field.items ?? {})}s${unique || (kind === 'set' ? ', each once' : '')}`;
  }
  if (field.additionalProperties !== undefined) return 'map of text';
  if (field.type === 'string') return field.format === 'date-time' ? 'time' : 'text';
  return field.type ?? '';
}

function toBounds(field: StructuralSchema): readonly string[] {
  const { additionalProperties, enum: values, pattern, format } = field;
  return [
    ...(values === undefined ? [] : [values.map((value) => `\`${value}\``).join(', ')]),
    ...toRange(field.minimum, field.maximum, ''),
    ...toRange(field.minLength, field.maxLength, ' characters'),
    ...toRange(field.minItems, field.maxItems, ' entries'),
    ...toRange(field.minProperties, field.maxProperties, additionalProperties === undefined ? ' fields' : ' entries'),
    ...(pattern === undefined || format === 'date-time' ? [] : [`\`${toCell(pattern)}\``]),
    ...(format === 'date-time' ? ['RFC 3339'] : []),
    ...(additionalProperties?.maxLength === undefined ? [] : [`values ≤ ${additionalProperties.maxLength} characters`]),
  ];
}

function toRange(minimum: number | undefined, maximum: number | undefined, unit: string): readonly string[] {
  if (minimum === undefined && maximum === undefined) return [];
  if (minimum === undefined) return [`≤ ${maximum}${unit}`];
  return [maximum === undefined ? `≥ ${minimum}${unit}` : `${minimum} … ${maximum}${unit}`];
}

function toRules(schema: StructuralSchema, path: string): readonly string[] {
  const own = (schema['x-kubernetes-validations'] ?? []).map(({ message }) => `- ${path === '' ? '' : `\`${path}\`: `}${message}`);
  const inside = Object.entries(schema.properties ?? {}).flatMap(([name, child]) => toRules(child, path === '' ? name : `${path}.${name}`));
  return [...own, ...inside, ...(schema.items === undefined ? [] : toRules(schema.items, `${path}[]`))];
}

function toColumns({ columns }: ResourceDefinition): readonly string[] {
  const rows = columns.map(
    ({ name, jsonPath, priority }) => `| ${name.toUpperCase()} | \`${jsonPath}\` | ${priority === undefined ? '' : '`-o wide`'} |`,
  );
  return ['| column | field | |', '| --- | --- | --- |', ...rows];
}

function toCell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (import.meta.main) {
  const before = readFileSync(docsPath, 'utf8');
  const after = withResourceTables(before);
  if (!process.argv.includes('--check')) writeFileSync(docsPath, after);
  else if (after !== before) {
    process.stderr.write('docs/resources.md is not what the CRDs say: run `node crds/generate-docs.ts`\n');
    process.exitCode = 1;
  }
}
