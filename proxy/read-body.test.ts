import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { makeBodyBudget } from './body-budget.ts';
import { readBody } from './read-body.ts';

it('a body in chunks of one byte is put together as it comes: a Buffer for each byte would be a hundred times what the bounds count', async () => {
  const size = 10_000;
  const request = Object.assign(new PassThrough(), { headers: {} }) as unknown as PassThrough & IncomingMessage;
  const budget = makeBodyBudget(size);
  const read = readBody(request, { maxBytes: size, budget, patienceMs: 60_000, minBytesPerSecond: 1 });
  const received = Buffer.alloc(size, 'a');
  for (let index = 0; index < size; index += 1) request.emit('data', received.subarray(index, index + 1));
  // whatever is still held as it came shows this
  received.fill('b');
  request.emit('end');
  const body = await read;
  if (body.outcome !== 'read') throw new Error('the body was not read');
  const text = body.bytes.toString();
  expect(text).toMatch(/^a+b*$/);
  expect(text).toHaveLength(size);
  expect(text.length - text.indexOf('b')).toBeLessThan(1024);
  body.release();
  expect(budget.used).toBe(0);
});

it.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['deflate', deflateRawSync],
  ['br', brotliCompressSync],
  ['zstd', zstdCompressSync],
] as const)('a coded body (%s) is refused when more follows it', async (coding, encode) => {
  const outcomes = await Promise.all(
    ['', 'more'].map(async (rest) => {
      const request = Object.assign(new PassThrough(), { headers: { 'content-encoding': coding } }) as unknown as PassThrough &
        IncomingMessage;
      const budget = makeBodyBudget(1000);
      const read = readBody(request, { maxBytes: 1000, budget, patienceMs: 60_000, minBytesPerSecond: 1 });
      request.end(Buffer.concat([encode('{"model":"a"}'), Buffer.from(rest)]));
      const body = await read;
      return body.outcome === 'read' ? body.bytes.toString() : body.outcome;
    }),
  );
  expect(outcomes).toEqual(['{"model":"a"}', 'refused']);
});
