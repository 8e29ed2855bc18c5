import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRetryAfterMs } from './answer.ts';
import { parseObject, parseReflected, toSent } from './decode.ts';
import { makeLineDecoder } from './line-decoder.ts';
import { parseWatchLine } from './watch-event.ts';

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
const raw = {
  metadata: {
    name: 's',
    annotations: { [lastApplied]: '{"data":{"key":"c2VjcmV0"}}', kept: 'yes' },
    managedFields: [{ manager: 'kubectl', fieldsV1: { 'f:data': {} } }],
  },
};

describe('decoding', () => {
  it('names the kind that was asked for and drops the field sets', () => {
    expect(parseObject({ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', ...raw }, 'Secret')).toEqual({
      kind: 'Secret',
      apiVersion: 'v1',
      metadata: { name: 's', annotations: raw.metadata.annotations },
    });
    expect(parseObject(raw, 'Channel')?.metadata).toEqual({ ...raw.metadata, managedFields: [{ manager: 'kubectl' }] });
    expect(parseObject({ metadata: {} }, 'Secret')).toBeUndefined();
    expect(parseObject('text', 'Secret')).toBeUndefined();
  });

  it("keeps nothing of kubectl's copy of a Secret", () => {
    const object = parseReflected(raw, 'Secret');
    expect(JSON.stringify(object)).not.toContain('c2VjcmV0');
    expect(object?.metadata.annotations).toEqual({ kept: 'yes' });
  });

  it('sends no managers', () => {
    const object = parseObject(raw, 'Secret');
    expect(object === undefined ? undefined : Object.keys(toSent(object).metadata)).toEqual(['name', 'annotations']);
  });

  it.each([
    '{',
    '[]',
    'null',
    '{"type":"ADDED"}',
    '{"type":"NEW","object":{"metadata":{"name":"a","resourceVersion":"1"}}}',
    '{"type":"BOOKMARK","object":{}}',
  ])('refuses the line %s without quoting it', (line) => {
    expect(() => parseWatchLine(line, 'Secret')).toThrow('the watch of Secret told something unknown');
  });

  it('reads Retry-After in both forms', () => {
    expect(parseRetryAfterMs('7', 0)).toBe(7_000);
    expect(parseRetryAfterMs('Thu, 01 Jan 1970 00:00:10 GMT', 4_000)).toBe(6_000);
    expect(parseRetryAfterMs('Thu, 01 Jan 1970 00:00:10 GMT', 20_000)).toBe(0);
    for (const header of ['soon', '', '-1s', undefined, ['7']]) expect(parseRetryAfterMs(header, 0)).toBeUndefined();
  });
});

describe('line decoder', () => {
  it('gives the same lines however the bytes are cut', () => {
    const line = fc.string({ unit: 'grapheme' }).map((text) => JSON.stringify({ text }));
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(''));
        const decode = makeLineDecoder();
        const seen: string[] = [];
        for (let start = 0, turn = 0; start < bytes.length; turn += 1) {
          const length = cuts[turn % cuts.length] ?? 1;
          seen.push(...decode(bytes.subarray(start, start + length)));
          start += length;
        }
        expect(seen).toEqual(lines);
      }),
    );
  });

  it('gives up a line that does not end', () => {
    const decode = makeLineDecoder();
    const chunk = Buffer.alloc(8 * 1024 * 1024, 'a');
    expect(() => {
      for (let part = 0; part < 6; part += 1) decode(chunk);
    }).toThrow(RangeError);
  });
});

it('makes equal texts of specs, statuses and owners one, and keeps no managers of Secrets', () => {
  const text = (name: string): string =>
    JSON.stringify({
      metadata: { name, managedFields: [{ manager: 'kubectl-client-side-apply', operation: 'Update', fieldsV1: {} }] },
      spec: { access: { models: ['text-embedding-3-large'] } },
    });
  const [one, other] = ['a', 'b'].map((name) => parseObject(JSON.parse(text(name)), 'VirtualKey'));
  expect(one).toMatchObject({
    spec: { access: { models: ['text-embedding-3-large'] } },
    metadata: { managedFields: [{ operation: 'Update' }] },
  });
  expect(other).toMatchObject({ metadata: { name: 'b' } });
  expect(parseObject(JSON.parse(text('s')), 'Secret')?.metadata).toEqual({ name: 's' });
});
