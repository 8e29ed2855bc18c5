import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ElementSplitter, makeElementSplitter } from './elements.ts';
import { makeWholeElements } from './whole-elements.ts';

const tricky = fc.stringMatching(/^[{}[\],:"\\ \nä🌥a]{0,12}$/u);
const object = fc.dictionary(
  tricky,
  fc.oneof(tricky, fc.integer(), fc.constant(null), fc.array(fc.dictionary(tricky, tricky), { maxLength: 3 })),
  { maxKeys: 4 },
);
const objects = fc.array(object, { maxLength: 5 });
const separator = fc.constantFrom(',', ',\r\n', '\n,\n', ' , ');
const places = fc.array(fc.nat(2000), { maxLength: 8 });

function cutAt(bytes: Buffer, at: readonly number[]): Buffer[] {
  const edges = [0, ...at.map((place) => place % (bytes.length + 1)).toSorted((one, other) => one - other), bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

const valuesOf = (splitter: ElementSplitter, chunks: readonly Buffer[]): unknown[] =>
  chunks.flatMap((chunk) => splitter.push(chunk)).map(({ value, isWhole }) => (isWhole ? value : 'not whole'));

describe('the elements of an answer', () => {
  it('are those of the list, however it is cut', () => {
    fc.assert(
      fc.property(objects, separator, places, fc.constantFrom(0, 2), (values, between, at, indent) => {
        const text = `[${values.map((value) => JSON.stringify(value, null, indent)).join(between)}]\n`;
        const splitter = makeElementSplitter();
        expect(valuesOf(splitter, cutAt(Buffer.from(text), at))).toEqual(values);
        expect([splitter.state(), splitter.isOpenList(), splitter.pendingBytes()]).toEqual(['closed', false, 0]);
      }),
    );
  });

  it('are the data of events, whatever their ends of lines', () => {
    fc.assert(
      fc.property(objects, fc.constantFrom('\n', '\r\n', '\r'), places, (values, end, at) => {
        const text = values.map((value) => `data: ${JSON.stringify(value)}${end}${end}`).join(`: ping${end}`);
        expect(valuesOf(makeElementSplitter(), cutAt(Buffer.from(text), at))).toEqual(values);
      }),
    );
  });
});

describe('a list element by element', () => {
  it('is the bytes that came, holds only what is not complete, and can always be ended', () => {
    fc.assert(
      fc.property(objects, separator, places, (values, between, at) => {
        const bytes = Buffer.from(`[${values.map((value) => JSON.stringify(value)).join(between)}]`);
        const splitter = makeElementSplitter();
        const list = makeWholeElements(splitter);
        const passed: Buffer[] = [];
        let given = 0;
        for (const chunk of cutAt(bytes, at)) {
          const elements = splitter.push(chunk).length;
          given += chunk.length;
          passed.push(...list.push(chunk));
          const sent = Buffer.concat(passed);
          expect(given - sent.length).toBe(splitter.pendingBytes());
          const ended = JSON.parse(sent.toString() + (list.endWith?.('{"error":1}') ?? '')) as unknown[];
          expect(ended.length).toBeGreaterThanOrEqual(elements);
          if (given < bytes.length) expect(ended.at(-1)).toEqual({ error: 1 });
          expect(list.isCutShort?.()).toBe(given > 0 && given < bytes.length);
        }
        expect(Buffer.concat([...passed, ...list.rest()]).equals(bytes)).toBe(true);
      }),
    );
  });

  it('of no list has no end to miss', () => {
    const splitter = makeElementSplitter();
    splitter.push(Buffer.from('{"candidates":[]}'));
    expect(makeWholeElements(splitter).isCutShort?.()).toBe(false);
  });
});
