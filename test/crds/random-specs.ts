import fc from 'fast-check';
import type { StructuralSchema } from '../../crds/schema-file.ts';

/** What people write that no schema foresees. */
const odd = fc.constantFrom<unknown>(null, true, 0, -1, 1.5, '', 'a', 'é ', '1h', '2026-02-30T00:00:00Z', [], {}, [null], { a: 1 });

/** Texts that come close to what our patterns and rules ask for. */
const near = fc.constantFrom(
  'a',
  'a-b',
  'a.b',
  'gpt-4o*',
  'sk-a-',
  'ns/name',
  '1h',
  '24h',
  '48h',
  '59m59s',
  '99999h99999h',
  '0s',
  '10.0.0.1',
  '10.0.0.0/08',
  '::1',
  '::ffff:1.2.3.4',
  'fe80::/200',
  'https://example.com',
  'http://example.com/a',
  '2026-01-01T00:00:00Z',
  '2026-01-01T00:00:00.000000001+01:00',
  '2026-02-29T00:00:00Z',
  '9999-12-31T23:59:59-23:59',
  '0000-01-01T00:00:00Z',
  '1000000',
  '1000000.1',
  'baseURL',
  'X_ENDPOINT',
  'authorization',
  'example.com/a',
);

const times = fc
  .tuple(fc.integer({ min: 0, max: 4_000_000_000 }), fc.constantFrom('Z', '.5Z', '.000000001Z', '+02:00', '.000000002-11:30'))
  .map(([seconds, rest]) => new Date(seconds * 1000).toISOString().replace('.000Z', rest));

/** Values of a schema: mostly right, now and then not, at every depth. */
export function valuesOf(schema: StructuralSchema): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 300, arbitrary: rightValues(schema) }, { weight: 1, arbitrary: odd });
}

function rightValues(schema: StructuralSchema): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return integers(schema);
    case 'array':
      return fc.array(valuesOf(schema.items ?? {}), { maxLength: 2 });
    case 'object':
      return objects(schema);
    default:
      return texts(schema);
  }
}

function integers({ minimum = -2, maximum = 1000 }: StructuralSchema): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 40, arbitrary: fc.integer({ min: minimum, max: maximum }) },
    { weight: 1, arbitrary: fc.constantFrom(minimum - 1, maximum + 1) },
  );
}

function texts({ pattern, format, maxLength = 100 }: StructuralSchema): fc.Arbitrary<string> {
  if (format === 'date-time') return fc.oneof({ weight: 10, arbitrary: times }, { weight: 1, arbitrary: near });
  const lengths = fc.constantFrom(maxLength, maxLength + 1).map((length) => 'a'.repeat(Math.min(length, 3000)));
  const matching =
    pattern === undefined ? fc.string({ maxLength: 8, unit: 'grapheme' }) : fc.stringMatching(new RegExp(pattern), { size: 'small' });
  return fc.oneof(
    { weight: 60, arbitrary: matching },
    { weight: pattern === undefined ? 60 : 6, arbitrary: near },
    { weight: 1, arbitrary: lengths },
  );
}

function objects({ properties, additionalProperties, required = [] }: StructuralSchema): fc.Arbitrary<unknown> {
  if (properties === undefined) {
    const names = fc.oneof(
      { weight: 4, arbitrary: fc.stringMatching(/^[a-zA-Z0-9./_-]{1,12}$/) },
      { weight: 2, arbitrary: near },
      { weight: 1, arbitrary: fc.string() },
    );
    return fc.dictionary(names, valuesOf(additionalProperties ?? {}), { maxKeys: 3 });
  }
  const known = fc.record(
    Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, sparse(child, required.includes(name))])),
  );
  const unknown = fc.oneof(
    { weight: 200, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constantFrom('unknown', 'Spec', 'on') },
  );
  return fc.tuple(known, unknown).map(([object, extra]) => {
    const present = Object.entries(object).filter(([, value]) => value !== undefined);
    return Object.fromEntries(extra === undefined ? present : [...present, [extra, 1]]);
  });
}

/** Most optional fields stay out, so that a whole spec has a chance to be right. */
function sparse(schema: StructuralSchema, isRequired: boolean): fc.Arbitrary<unknown> {
  const values = valuesOf(schema);
  const absent = fc.constant(undefined);
  return isRequired
    ? fc.oneof({ weight: 200, arbitrary: values }, { weight: 1, arbitrary: absent })
    : fc.oneof({ weight: 1, arbitrary: values }, { weight: 5, arbitrary: absent });
}
