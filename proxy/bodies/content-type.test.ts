import { describe, expect, it } from 'vitest';
import { parseBodyForm, toMultipartType } from './content-type.ts';

const refusal = (code: string): unknown => ({ refusal: expect.objectContaining({ code }) as unknown });

describe('parseBodyForm', () => {
  it.each([
    ['multipart/form-data; boundary=----WebKitFormBoundaryX', '----WebKitFormBoundaryX'],
    ['multipart/form-data;boundary="a b:c"', 'a b:c'],
    ['Multipart/Form-Data ; Boundary=x', 'x'],
    ['multipart/form-data; charset=utf-8; boundary=x', 'x'],
    ['multipart/form-data; boundary=x; charset="UTF-8";', 'x'],
    ['multipart/form-data; boundary===_a/b=', '==_a/b='],
    [`multipart/form-data; boundary=${'x'.repeat(70)}`, 'x'.repeat(70)],
  ])('reads %s', (contentType, boundary) => {
    expect(parseBodyForm('multipart', contentType)).toEqual({ form: 'multipart', boundary });
    expect(parseBodyForm('either', contentType)).toEqual({ form: 'multipart', boundary });
    expect(parseBodyForm('json', contentType)).toEqual(refusal('unsupported_encoding'));
  });

  it.each([
    'multipart/form-data',
    'multipart/form-data;',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=""',
    'multipart/form-data; boundary=a; boundary=a',
    'multipart/form-data; boundary=a; Boundary=b',
    'multipart/form-data; boundary*=a',
    'multipart/form-data; boundary*0=a',
    'multipart/form-data; boundary="a\\"b"',
    'multipart/form-data; boundary="a',
    'multipart/form-data; boundary=a b',
    'multipart/form-data; boundary="a "',
    'multipart/form-data; boundary=ä',
    'multipart/form-data; boundary=a{b',
    'multipart/form-data; boundary="a\tb"',
    `multipart/form-data; boundary=${'x'.repeat(71)}`,
    'multipart/form-data; charset=latin1; boundary=a',
    'multipart/form-data; boundary=a; x=y',
    'multipart/form-data boundary=a',
    'multipart/form-data, boundary=a',
  ])('refuses %s', (contentType) => {
    const parsed = parseBodyForm('multipart', contentType);
    expect([refusal('invalid_request'), refusal('unsupported_encoding')]).toContainEqual(parsed);
  });

  it('takes JSON where JSON is taken, and nothing said for JSON where that may be meant', () => {
    for (const takes of ['json', 'either'] as const) {
      expect(parseBodyForm(takes, 'application/json')).toEqual({ form: 'json' });
      expect(parseBodyForm(takes, undefined)).toEqual({ form: 'json' });
    }
    for (const contentType of ['application/json', undefined, 'multipart/mixed; boundary=a', 'multipart/form-databoundary=a']) {
      expect(parseBodyForm('multipart', contentType)).toEqual(refusal('unsupported_encoding'));
    }
  });
});

it('what is told to the provider can be read in one way', () => {
  expect(toMultipartType('abc-1')).toBe('multipart/form-data; boundary=abc-1');
  expect(toMultipartType('a b=/c')).toBe('multipart/form-data; boundary="a b=/c"');
});
