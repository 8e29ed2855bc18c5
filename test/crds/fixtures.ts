import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, Scalar, type CollectionTag } from 'yaml';
import { readDefinitions, type StructuralSchema } from '../../crds/schema-file.ts';

/** One manifest, what is to become of it, and which rule it is about. */
export interface FixtureCase {
  readonly title: string;
  /** `<schema path> <keyword>`, or `<schema path> <CEL message>` */
  readonly rule: string;
  readonly object: Readonly<Record<string, unknown>>;
  /** the form in force before: `object` is then an update */
  readonly before?: Readonly<Record<string, unknown>>;
  /** undefined: it is accepted; else what the refusal must name */
  readonly refused?: { readonly at: string; readonly message?: string };
}

interface AcceptReject {
  readonly accept: readonly unknown[];
  readonly reject: readonly unknown[];
}

interface FieldFile {
  readonly kind: string;
  readonly given: object;
  readonly fields: readonly ({ readonly of: readonly string[]; readonly given?: object; readonly required?: unknown } & Readonly<
    Record<string, unknown>
  >)[];
}

interface RuleEntry {
  readonly name?: string;
  readonly at?: string;
  readonly spec?: unknown;
  readonly from?: unknown;
  readonly to?: unknown;
}

interface RuleFile {
  readonly kind: string;
  readonly rules: readonly {
    readonly message: string;
    readonly at: string;
    readonly accept: readonly RuleEntry[];
    readonly reject: readonly RuleEntry[];
  }[];
  readonly general: { readonly accept: readonly RuleEntry[]; readonly reject: readonly RuleEntry[] };
}

const definitions = readDefinitions();

/** All cases of both kinds; the two ways of admission are given the same. */
export function readFixtureCases(): readonly FixtureCase[] {
  return ['virtualkey', 'channel'].flatMap((kind) => [
    ...toFieldCases(readFixtures<FieldFile>(`${kind}.fields.yaml`)),
    ...toRuleCases(readFixtures<RuleFile>(`${kind}.rules.yaml`)),
  ]);
}

/** Every constraint that the CRDs state about what a user writes, as `<schema path> <keyword or CEL message>`; status is the operator's. */
export function listRules(): readonly string[] {
  return definitions.flatMap(({ kind, schema }) => listRulesOf(schema, '').map((rule) => `${kind} ${rule}`));
}

const keywords = [
  'enum',
  'format',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'x-kubernetes-list-type',
] as const;

function listRulesOf(schema: StructuralSchema, path: string): readonly string[] {
  const children: readonly string[] = [
    ...Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
      path === '' && name === 'status' ? [] : listRulesOf(child, path === '' ? name : `${path}.${name}`),
    ),
    ...(schema.items === undefined ? [] : listRulesOf(schema.items, `${path}[]`)),
    ...(schema.additionalProperties === undefined ? [] : listRulesOf(schema.additionalProperties, `${path}.*`)),
  ];
  return [
    // an integer's format only says how many bits it has, and the bounds are narrower
    ...keywords
      .filter((keyword) => schema[keyword] !== undefined && !(keyword === 'format' && schema.type === 'integer'))
      .map((keyword) => `${path} ${keyword}`),
    ...(schema.required ?? []).map((name) => `${path === '' ? name : `${path}.${name}`} required`),
    ...(schema['x-kubernetes-validations'] ?? []).map(({ message }) => `${path} ${message}`),
    ...children,
  ];
}

function toFieldCases({ kind, given, fields }: FieldFile): readonly FixtureCase[] {
  return fields.flatMap((entry) =>
    entry.of.flatMap((path) => {
      const base = { ...given, ...entry.given };
      const make = (value: unknown): Record<string, unknown> => withValue(toObject(kind, base), path, value);
      const cases = keywords.flatMap((keyword) => {
        const values = entry[keyword] as AcceptReject | undefined;
        const rule = `${kind} ${toSchemaPath(kind, path)} ${keyword}`;
        return [
          ...(values?.accept ?? []).map((value) => ({ title: `${rule}: accepts ${toTitle(value)}`, rule, object: make(value) })),
          ...(values?.reject ?? []).map((value) => ({
            title: `${rule}: refuses ${toTitle(value)}`,
            rule,
            object: make(value),
            refused: { at: path },
          })),
        ];
      });
      if (entry.required === undefined) return cases;
      const rule = `${kind} ${toSchemaPath(kind, path)} required`;
      return [
        ...cases,
        { title: `${rule}: accepts it`, rule, object: make(entry.required) },
        { title: `${rule}: refuses its absence`, rule, object: withValue(make(entry.required), path, undefined), refused: { at: path } },
      ];
    }),
  );
}

function toRuleCases({ kind, rules, general }: RuleFile): readonly FixtureCase[] {
  const toCase = (rule: string, entry: RuleEntry, refused?: FixtureCase['refused']): FixtureCase => ({
    title: `${rule}: ${refused === undefined ? 'accepts' : 'refuses'} ${toTitle(entry)}`,
    rule,
    object: toObject(kind, entry.to === undefined ? entry.spec : entry.to, entry.name),
    ...(entry.from === undefined ? {} : { before: toObject(kind, entry.from, entry.name) }),
    ...(refused === undefined ? {} : { refused }),
  });
  return [
    ...rules.flatMap(({ message, at, accept, reject }) => [
      ...accept.map((entry) => toCase(`${kind} ${at} ${message}`, entry)),
      // list positions differ from case to case
      ...reject.map((entry) => toCase(`${kind} ${at} ${message}`, entry, { at: at.replace(/\[\].*$/, ''), message })),
    ]),
    ...general.accept.map((entry) => toCase(`${kind} general`, entry)),
    ...general.reject.map((entry) => toCase(`${kind} general`, entry, { at: entry.at ?? '' })),
  ];
}

function toObject(kind: string, spec: unknown, name = 'fixture'): Record<string, unknown> {
  return { apiVersion: 'keywright.dev/v1alpha1', kind, metadata: { name, namespace: 'default' }, spec: structuredClone(spec) };
}

/** Sets a field (`spec.models[0].name`), making what is around it; undefined removes it. */
function withValue(object: Record<string, unknown>, path: string, value: unknown): Record<string, unknown> {
  const parts = path.split(/\.|\[|\]\.?/).filter((part) => part !== '');
  let holder: Record<string, unknown> = object;
  for (const [position, part] of parts.slice(0, -1).entries()) {
    holder[part] ??= /^\d+$/.test(parts[position + 1] ?? '') ? [] : {};
    holder = holder[part] as Record<string, unknown>;
  }
  const last = parts.at(-1) ?? '';
  if (value === undefined) delete holder[last];
  else holder[last] = value;
  return object;
}

/** `spec.models[0].price.serviceTiers.flex` → `spec.models[].price.serviceTiers.*` */
function toSchemaPath(kind: string, path: string): string {
  let schema = definitions.find((definition) => definition.kind === kind)?.schema;
  const parts = path.replaceAll(/\[\d+\]/g, '.[]').split('.');
  const shown = parts.map((part) => {
    if (part === '[]') {
      schema = schema?.items;
      return part;
    }
    const property: StructuralSchema | undefined = schema?.properties?.[part];
    schema = property ?? schema?.additionalProperties;
    if (schema === undefined) throw new Error(`${kind} has no field ${path}`);
    return property === undefined ? '*' : part;
  });
  return shown.join('.').replaceAll('.[]', '[]');
}

function toTitle(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 60)}… (${text.length})` : text;
}

function readFixtures<T>(name: string): T {
  const text = readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8');
  return parse(text, { customTags: [repeatTag, manyTag, entriesTag], merge: true }) as T;
}

const repeatTag: CollectionTag = makeTag('!repeat', ([text, count]) => String(text).repeat(Number(count)));
const manyTag: CollectionTag = makeTag('!many', ([count, value]) =>
  Array.from({ length: Number(count) }, (_, position) => withPosition(value, position)),
);
const entriesTag: CollectionTag = makeTag('!entries', ([count, value]) =>
  Object.fromEntries(Array.from({ length: Number(count) }, (_, position) => [`entry-${position}`, value])),
);

function makeTag(tag: string, expand: (values: readonly unknown[]) => unknown): CollectionTag {
  return {
    tag,
    collection: 'seq',
    resolve: (sequence, onError) => {
      const values = sequence.toJSON() as unknown[];
      if (values.length !== 2) onError(`${tag} takes two values`);
      return new Scalar(expand(values));
    },
  };
}

function withPosition(value: unknown, position: number): unknown {
  return JSON.parse(JSON.stringify(value).replaceAll('%d', String(position))) as unknown;
}
