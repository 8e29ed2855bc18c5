import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyMergePatch, toMergePatch } from './merge-patch.ts';
import { parseFieldSelector, parseLabelSelector } from './selector.ts';

describe('merge patch', () => {
  it('names only what differs', () => {
    expect(toMergePatch({ a: 1, b: { c: 2, d: 3 }, e: [1, 2] }, { a: 1, b: { c: 5 }, e: [1] })).toEqual({ b: { c: 5, d: null }, e: [1] });
    expect(toMergePatch({ a: [{ b: 1 }] }, { a: [{ b: 1 }] })).toBeUndefined();
    expect(toMergePatch(undefined, { a: 1 })).toEqual({ a: 1 });
  });

  it('turns any status into any other, and equal ones into nothing', () => {
    // RFC 7386 cannot set null, and a status never holds it.
    const value = fc.letrec((tie) => ({
      any: fc.oneof({ depthSize: 'small' }, fc.integer(), fc.string(), fc.boolean(), fc.array(tie('any')), tie('record')),
      record: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), tie('any'), { noNullPrototype: true }),
    })).record;
    fc.assert(
      fc.property(value, value, (before, after) => {
        expect(toMergePatch(before, structuredClone(before))).toBeUndefined();
        const patch = toMergePatch(before, after);
        expect(patch === undefined ? before : applyMergePatch(before, patch)).toEqual(after);
      }),
    );
  });
});

describe('selectors', () => {
  const object = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: { name: 'n', namespace: 'a', labels: { 'x.dev/y': 'z', empty: '' } },
  };

  it.each([
    ['', true],
    ['x.dev/y=z', true],
    ['x.dev/y == z , empty=', true],
    ['x.dev/y!=z', false],
    ['missing!=z', true],
    ['x.dev/y in (a, z)', true],
    ['x.dev/y notin (a,z)', false],
    ['missing in (a)', false],
    ['missing notin (a)', true],
    ['x.dev/y', true],
    ['!missing,empty', true],
    ['!empty', false],
  ])('labels %s: %s', (text, expected) => {
    expect(parseLabelSelector(text)(object)).toBe(expected);
  });

  it.each([
    ['type=Opaque', true],
    ['type!=Opaque', false],
    ['metadata.name==n,metadata.namespace=a', true],
    ['spec.missing=', true],
    ['spec.missing=x', false],
  ])('fields %s: %s', (text, expected) => {
    expect(parseFieldSelector(text)(object)).toBe(expected);
  });

  it('refuse what is none', () => {
    expect(() => parseLabelSelector('a b')).toThrow(TypeError);
    expect(() => parseFieldSelector('a')).toThrow(TypeError);
  });
});
