import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinNeighbours, makeEventSplitter, type StreamEvent } from './event-stream.ts';

function split(chunks: readonly Buffer[]): StreamEvent[] {
  const splitter = makeEventSplitter();
  return [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()];
}

function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((one, other) => one - other), bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

const readable = (events: readonly StreamEvent[]): unknown => events.map(({ bytes, name, data }) => [bytes.toString('latin1'), name, data]);
const dataOf = (text: string): (string | undefined)[] => split([Buffer.from(text)]).map(({ data }) => data);

describe('the event splitter', () => {
  it.each([
    ['LF', 'data: a\n\ndata: b\n\n', ['a', 'b']],
    ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
    ['CR', 'data: a\r\rdata: b\r\r', ['a', 'b']],
    ['all of them mixed', 'data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\rdata: e\n\n', ['a', 'b', 'c', 'd', 'e']],
    ['several lines', 'data: a\ndata:b\ndata\ndata:  c\n\n', ['a\nb\n\n c']],
    ['comments and blank lines', ': ping\n\n\n\ndata: a\n: between\n\n', [undefined, undefined, undefined, 'a']],
    ['other fields', 'id: 1\nretry: 5\ndatabase: x\ndata : y\ndata: a\n\n', ['a']],
    ['a byte order mark', '\ufeffdata: a\n\n', ['a']],
    ['a byte order mark where none belongs', 'data: a\n\n\ufeffdata: b\n\n', ['a', undefined]],
    ['no blank line at the end', 'data: a\n\ndata: b', ['a', 'b']],
    ['nothing', '', []],
  ])('reads %s', (_what, text, expected) => expect(dataOf(text)).toEqual(expected));

  it('gives the name of an event', () => {
    expect(split([Buffer.from('event: message_start\ndata: {}\n\n')])).toMatchObject([{ name: 'message_start', data: '{}' }]);
  });

  it('gives an event as soon as its last byte is there, in each style of line ends', () => {
    for (const end of ['\n\n', '\r\n\r\n', '\r\r']) {
      const splitter = makeEventSplitter();
      expect(splitter.push(Buffer.from('data: a'))).toEqual([]);
      expect(splitter.push(Buffer.from(end))).toMatchObject([{ data: 'a' }]);
      expect(splitter.push(Buffer.from('data: b'))).toEqual([]);
      expect(splitter.end()).toMatchObject([{ data: 'b' }]);
    }
  });

  it('does not depend on where the network cuts, and loses and adds no byte', () => {
    const lines = fc.constantFrom(
      'data: a',
      'data: 東京🗼',
      'event: x',
      ': c',
      '',
      '',
      '\n',
      '\r',
      '\r\n',
      '\n\n',
      '\r\n\r\n',
      '\r\r',
      '\ufeff',
      'data',
      'x',
    );
    const streams = fc.array(lines, { maxLength: 20 }).map((parts) => Buffer.from(parts.join('')));
    fc.assert(
      fc.property(streams, fc.array(fc.nat(), { maxLength: 12 }), (stream, places) => {
        const whole = split([stream]);
        expect(Buffer.concat(whole.map(({ bytes }) => bytes)).equals(stream)).toBe(true);
        expect(readable(split(cutAt(stream, places)))).toEqual(readable(whole));
        expect(readable(split([...stream].map((byte) => Buffer.from([byte]))))).toEqual(readable(whole));
      }),
      { numRuns: 2000 },
    );
  });

  const recorded = new URL('../dialects/testdata/', import.meta.url);
  it.each(readdirSync(recorded).filter((file) => file.endsWith('.sse')))('reads %s the same, cut at every byte', (file) => {
    const stream = readFileSync(new URL(file, recorded));
    const whole = split([stream]);
    expect(whole.length).toBeGreaterThan(1);
    for (let place = 1; place < stream.length; place += 1) expect(readable(split(cutAt(stream, [place])))).toEqual(readable(whole));
  });

  it('passes on what is too long without holding it, and finds its way afterwards', () => {
    const long = Buffer.from(`data: ${'x'.repeat(3 * 1024 * 1024)}\n\n`);
    const next = Buffer.from('data: b\n\n');
    const chunks = cutAt(
      Buffer.concat([long, next]),
      [...Array(60).keys()].map((index) => index * 65_536),
    );
    const splitter = makeEventSplitter();
    let held = 0;
    const events: StreamEvent[] = [];
    for (const chunk of chunks) {
      const given = splitter.push(chunk);
      held += chunk.length - given.reduce((sum, { bytes }) => sum + bytes.length, 0);
      expect(held).toBeLessThanOrEqual(1024 * 1024);
      events.push(...given);
    }
    expect(events.filter(({ data }) => data !== undefined)).toMatchObject([{ data: 'b' }]);
    expect(Buffer.concat(events.map(({ bytes }) => bytes)).equals(Buffer.concat([long, next]))).toBe(true);
    expect(split([long, next]).map(({ data }) => data)).toEqual([undefined, 'b']);
  });
});

describe('joinNeighbours', () => {
  it('gives an untouched chunk back as one, and leaves a gap a gap', () => {
    const chunk = Buffer.from('abcdef');
    const [a, b, c] = [chunk.subarray(0, 2), chunk.subarray(2, 4), chunk.subarray(4)];
    expect(joinNeighbours([a, b, c]).map(String)).toEqual(['abcdef']);
    expect(joinNeighbours([a, c]).map(String)).toEqual(['ab', 'ef']);
    expect(joinNeighbours([Buffer.alloc(0)])).toEqual([]);
  });
});
