import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeWholeEvents } from './whole-events.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const text = (pieces: readonly Buffer[]): string => Buffer.concat(pieces).toString();

/** without the lines at its end that say nothing */
const withoutComments = (given: string): string => given.replace(/(?<=^|[\r\n])(?:(?::[^\r\n]*)?(?:\r\n|\n|\r))*$/, '');

describe('of an event stream', () => {
  it('whole events go on at once, in one write', () => {
    const events = makeWholeEvents();
    const chunk = bytes('data: one\n\ndata: two\n\n');
    expect(events.push([chunk])).toEqual([chunk]);
    expect(events.rest()).toEqual([]);
  });

  it('the beginning of one is held until its blank line has come', () => {
    const events = makeWholeEvents();
    expect(text(events.push([bytes('data: one\n\nda')]))).toBe('data: one\n\n');
    expect(text(events.push([bytes('ta: two')]))).toBe('');
    expect(text(events.push([bytes('\n')]))).toBe('');
    expect(text(events.push([bytes('\ndata: three')]))).toBe('data: two\n\n');
    expect(text(events.rest())).toBe('data: three');
  });

  it.each([
    ['a comment', ': still here\n'],
    ['a comment and its blank line', ': still here\n\n'],
    ['a blank line', '\n'],
    ['comments', ':\r\n: x\r'],
  ])('%s goes on at once', (_what, comment) => {
    const events = makeWholeEvents();
    events.push([bytes('data: one\n\n')]);
    expect(text(events.push([bytes(comment)]))).toBe(comment);
  });

  it.each([': a\ndata: x\n', ': a comment that is not over', 'data: x\n: a\n'])('%j does not', (begun) => {
    const events = makeWholeEvents();
    expect(text(events.push([bytes(begun)]))).toBe('');
    expect(text(events.push([bytes('\n\n')]))).toBe(`${begun}\n\n`);
  });

  it('one longer than a mebibyte goes on in pieces', () => {
    const events = makeWholeEvents();
    const piece = Buffer.alloc(65_536, 'x');
    let passed = 0;
    for (let count = 0; count < 40; count += 1) {
      passed += text(events.push([piece])).length;
      expect(65_536 * (count + 1) - passed).toBeLessThanOrEqual(1024 * 1024);
    }
  });

  it('all bytes come out in order, cut anywhere, and never the beginning of an event', () => {
    const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
    const event = fc.tuple(
      fc.array(fc.constantFrom('data: ä', 'data: {"a":1}', ': c', 'event: x'), { minLength: 1, maxLength: 3 }),
      lineEnd,
    );
    const stream = fc.array(
      event.map(([lines, end]) => lines.map((line) => `${line}${end}`).join('') + end),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(stream, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (parts, sizes) => {
        const whole = bytes(parts.join(''));
        const beginnings = Array.from({ length: parts.length + 1 }, (_, count) => withoutComments(parts.slice(0, count).join('')));
        const events = makeWholeEvents();
        let given = '';
        for (let from = 0; from < whole.length;) {
          const size = sizes.next().value ?? 1;
          given += text(events.push([whole.subarray(from, from + size)]));
          from += size;
          expect(whole.toString().startsWith(given)).toBe(true);
          expect(beginnings).toContain(withoutComments(given));
        }
        expect(given + text(events.rest())).toBe(whole.toString());
      }),
    );
  });
});
