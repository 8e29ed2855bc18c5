import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ByteList, makeByteList } from './byte-list.ts';
import { type JsonBody, scanJson } from './json-scan.ts';
import { type KeptJson, shrinkBody, spliceJson } from './kept-json.ts';

const scan = (text: string) => scanJson(Buffer.from(text));

/** As it is kept where it came in pieces of seven bytes. */
function inPieces({ bytes }: JsonBody): ByteList {
  return makeByteList(Array.from({ length: Math.ceil(bytes.length / 7) }, (_, index) => bytes.subarray(index * 7, index * 7 + 7)));
}

function keep(body: JsonBody): KeptJson {
  return shrinkBody(body, inPieces(body));
}

describe('spliceJson', () => {
  const splice = (text: string, splices: Parameters<typeof spliceJson>[1]) => {
    const result = scan(text);
    if (!result.ok) throw new Error('not scanned');
    return Buffer.concat(spliceJson({ ...result.body, bytes: inPieces(result.body) }, splices)).toString();
  };

  it('replaces a value and leaves every other byte', () => {
    expect(splice('{ "b" : 1.0e2, "model" :"a" ,"c":"\u00e9" }', [{ field: 'model', json: '"z"' }])).toBe(
      '{ "b" : 1.0e2, "model" :"z" ,"c":"\u00e9" }',
    );
  });

  it('adds members to full and empty objects', () => {
    expect(splice('{"a":1}', [{ field: 's', json: '{"t":true}' }])).toBe('{"s":{"t":true},"a":1}');
    expect(splice('{ }', [{ field: 's', json: '1' }])).toBe('{"s":1 }');
  });

  it('gives what a JSON reader would get by setting the members', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-c]$/), fc.jsonValue()),
        fc.uniqueArray(fc.constantFrom('a', 'b', 'model'), { maxLength: 3 }),
        (object, names) => {
          const text = splice(
            JSON.stringify(object),
            names.map((field) => ({ field, json: '{"x":[1]}' })),
          );
          expect(JSON.parse(text)).toEqual(
            JSON.parse(JSON.stringify({ ...object, ...Object.fromEntries(names.map((name) => [name, { x: [1] }])) })),
          );
        },
      ),
    );
  });
});

describe('shrinkBody', () => {
  it('forgets what is long or of no matter, and still splices as before', () => {
    const text = `{"odd":1,"x":[[],[]],"messages":[${'{},'.repeat(2000)}{}],"model":"a","stream_options":{"y":1}}`;
    const result = scan(text);
    if (!result.ok) throw new Error('refused');
    const small = keep(result.body);
    expect(small.value).toEqual({ odd: 1, model: 'a', stream_options: { y: 1 } });
    expect(small.members).toHaveLength(4);
    const splices = [
      { field: 'model', json: '"b"' },
      { field: 'stream_options', json: '{}' },
      { field: 'n', json: '1' },
    ];
    expect(Buffer.concat(spliceJson(small, splices))).toEqual(Buffer.concat(spliceJson({ ...result.body, bytes: small.bytes }, splices)));
  });

  it('knows that an object of odd members is not empty', () => {
    const result = scan('{"a":1,"b":2}');
    if (!result.ok) throw new Error('refused');
    expect(Buffer.concat(spliceJson(keep(result.body), [{ field: 'n', json: '1' }])).toString()).toBe('{"n":1,"a":1,"b":2}');
  });
});
