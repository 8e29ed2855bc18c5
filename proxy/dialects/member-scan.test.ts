import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeMemberScan } from './member-scan.ts';

function scan(text: string, places: readonly number[] = [], wanted = 'usage'): unknown {
  const bytes = Buffer.from(text);
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((one, other) => one - other), bytes.length];
  const member = makeMemberScan('usage', 'use', 'x');
  edges.slice(1).forEach((edge, index) => member.push(bytes.subarray(edges[index], edge)));
  return member.value(wanted);
}

describe('makeMemberScan', () => {
  it.each([
    ['{"usage":{"a":1}}', { a: 1 }],
    ['{ "x" : [1,{"usage":2}] , "usage" : {"a":[1,"}",{}]} , "y":3}', { a: [1, '}', {}] }],
    ['{"usage":5}', 5],
    ['{"usage":"a,b}"}', 'a,b}'],
    ['{"x":"\\"usage\\":1","y":{"usage":1}}', undefined],
    ['{"x":"usage","usages":1,"usag":2,"us\\u0061ge":3}', undefined],
    ['["usage",{"usage":1}]', undefined],
    ['{"usage":{"a":1}', undefined],
    ['{"usage":1,"usage":2}', 2],
    ['{"usage":{bad}}', undefined],
    ['', undefined],
    ['}}}{"usage":1}', undefined],
  ])('%s', (text, value) => expect(scan(text)).toEqual(value));

  it('agrees with a whole parse, however it is cut', () => {
    const objects = fc.dictionary(fc.oneof(fc.constantFrom('usage', 'use', 'x'), fc.string({ unit: 'binary' })), fc.jsonValue());
    fc.assert(
      fc.property(objects, fc.array(fc.nat(), { maxLength: 5 }), fc.constantFrom(undefined, 2), (object, places, indent) => {
        for (const name of ['usage', 'use', 'x']) {
          const expected = Object.hasOwn(object, name) ? JSON.parse(JSON.stringify(object[name])) : undefined;
          expect(scan(JSON.stringify(object, null, indent), places, name)).toEqual(expected === null ? undefined : expected);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('gives up on a value that is too long to be one', () => {
    expect(scan(`{"usage":"${'x'.repeat(100_000)}","y":1}`)).toBeUndefined();
  });
});
