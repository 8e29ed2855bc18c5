import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scanJson } from './json-scan.ts';

const scan = (text: string) => scanJson(Buffer.from(text));

function refusalOf(text: string | Buffer) {
  const result = scanJson(Buffer.from(text));
  return result.ok ? undefined : result.refusal;
}

describe('scanJson', () => {
  it.each([
    ['empty', ''],
    ['no JSON', '{"model":'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a second value', '{"model":"a"}{"model":"b"}'],
    ['trailing bytes', '{"model":"a"}x'],
    ['a trailing NUL', '{"model":"a"}\0'],
    ['a BOM', '\ufeff{"model":"a"}'],
    ['a comment', '{"model":"a"/**/}'],
    ['a single-quoted key', "{'model':'a'}"],
  ])('refuses %s', (_name, text) => {
    expect(refusalOf(text)?.code).toBe('invalid_request');
  });

  it('refuses invalid UTF-8', () => {
    expect(refusalOf(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))?.message).toContain('UTF-8');
  });

  it.each([
    ['a doubled model', '{"model":"a","model":"b"}', 'model'],
    ['an escaped model', '{"mod\\u0065l":"a"}', 'model'],
    ['an escaped second model', '{"model":"a","\\u006dodel":"b"}', 'model'],
    ['another case', '{"model":"a","Model":"b"}', 'model'],
    ['a folded letter', '{"model":"a","too\u006cs":[],"\u017ftream":true}', 'stream'],
    ['a doubled stream', '{"stream":false,"stream":true}', 'stream'],
    ['doubled tools', '{"tools":[],"tools":[{"model":"b"}]}', 'tools'],
    ['a doubled model of a tool', '{"tools":[{"type":"x"}, {"model":"a","x":[1],"model":"b"}]}', 'tools[1].model'],
    ['an escaped model of a tool', '{"tools":[{"\\u006dodel":"b"}]}', 'tools[0].model'],
  ])('refuses %s and names the param', (_name, text, param) => {
    expect(refusalOf(text)).toMatchObject({ code: 'invalid_request', param });
  });

  it('lets doubled and escaped keys pass that decide nothing', () => {
    expect(scan('{"metadata":{"model":1,"model":2},"x":1,"x":2,"\\u0078":3,"model":"a"}').ok).toBe(true);
  });

  it('is not fooled by keys inside strings and nested objects', () => {
    expect(scan(String.raw`{"a":"\"model\":\\","b":{"model":"x"},"model":"y","c":[{"model":1}]}`)).toMatchObject({
      ok: true,
      body: { value: { model: 'y' } },
    });
  });

  it('agrees with JSON.parse about names, values and what is JSON at all', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()), fc.nat(3), (object, indent) => {
        const text = JSON.stringify(object, undefined, indent);
        const result = scan(text);
        const expected = JSON.parse(text) as Record<string, unknown>;
        if (!result.ok) return Object.keys(expected).some((name) => /[A-Z\u017f\u212a\\"\p{Cc}]/u.test(name));
        const bytes = result.body.bytes;
        const seen = result.body.members.map((member) => [
          member.name,
          JSON.parse(bytes.toString('utf8', member.valueStart, member.valueEnd)) as unknown,
        ]);
        expect(Object.fromEntries(seen)).toEqual(expected);
        return true;
      }),
    );
  });

  it('refuses exactly the texts that JSON.parse refuses', () => {
    const fragment = fc.constantFrom('{', '}', '[', ']', '"a"', ':', ',', '1', ' ', 'null', '"', '\\', '-', 'e5');
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 14 }), (fragments) => {
        const text = `{"x":${fragments.join('')}}`;
        expect(scan(text).ok).toBe(isObject(text));
      }),
      { numRuns: 500 },
    );
  });

  it('is linear in a string of backslashes', () => {
    const body = Buffer.from(`{"x":"${'\\\\'.repeat(2_000_000)}"}`);
    expect(scanJson(body).ok).toBe(true);
  });
});

describe('a body of very many values', () => {
  const filled = (values: number): string => `{"model":"a","input":[${'1,'.repeat(values)}1],"text":"${',['.repeat(200_000)}"}`;

  it('is refused before it is parsed', () => {
    expect(scan(filled(1_200_000))).toMatchObject({ ok: false, refusal: { code: 'request_too_large' } });
    expect(scan(`{"input":${'['.repeat(2_100_000)}`)).toMatchObject({ ok: false, refusal: { code: 'request_too_large' } });
  });

  it('passes with what the largest honest request holds, and what stands in strings does not count', () => {
    expect(scan(filled(900_000)).ok).toBe(true);
    expect(scan(`{"model":"a","prompt":"${'[,{'.repeat(900_000)}"}`).ok).toBe(true);
  });

  it('is no trouble when a string has no end', () => {
    expect(scan(`{"prompt":"${'x'.repeat(2_100_000)}`)).toMatchObject({ ok: false, refusal: { code: 'invalid_request' } });
  });
});

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

describe('bounds', () => {
  const fields = (count: number): string => Array.from({ length: count }, (_, index) => `"k${index}":1`).join(',');

  it('refuses an object of more fields than any API has, and a tool of as many, whose model nobody would look at', () => {
    expect(scanJson(Buffer.from(`{"model":"a",${fields(999)}}`)).ok).toBe(true);
    expect(scanJson(Buffer.from(`{${fields(1001)}}`))).toMatchObject({ refusal: { code: 'invalid_request' } });
    expect(scanJson(Buffer.from(`{"model":"a","tools":[{${fields(999)},"model":"b"}]}`)).ok).toBe(true);
    expect(scanJson(Buffer.from(`{"model":"a","tools":[{${fields(1001)},"model":"b","model":"c"}]}`))).toMatchObject({
      refusal: { code: 'invalid_request', param: 'tools' },
    });
  });

  it('finds the end of a text of escaped quotes and backslashes, however long', () => {
    const piece = fc.constantFrom('\\"', '\\\\', 'a', '\\n', 'x'.repeat(63), '\\"'.repeat(40));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const text = `"${pieces.join('')}"`;
        const scan = scanJson(Buffer.from(`{"first":${text},"model":"a"}`));
        if (!scan.ok) throw new Error(scan.refusal.message);
        const [first, model] = scan.body.members;
        expect(scan.body.bytes.toString('utf8', first?.valueStart, first?.valueEnd)).toBe(text);
        expect(model?.name).toBe('model');
      }),
    );
  });
});
