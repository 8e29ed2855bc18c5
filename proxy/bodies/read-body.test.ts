import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { makeBodyBudget } from './body-budget.ts';
import { readBody } from './read-body.ts';

function startReading(maxBytes: number) {
  const request = Object.assign(new PassThrough(), { headers: {} }) as unknown as PassThrough & IncomingMessage;
  const budget = makeBodyBudget(maxBytes);
  return { request, budget, read: readBody(request, { maxBytes, budget, patienceMs: 60_000, minBytesPerSecond: 1 }) };
}

it('a body in chunks of one byte is put together as it comes: a Buffer for each byte would be a hundred times what the bounds count', async () => {
  const size = 10_000;
  const { request, budget, read } = startReading(size);
  for (let index = 0; index < size; index += 1) request.emit('data', Buffer.from('a'));
  request.emit('end');
  const body = await read;
  if (body.outcome !== 'read') throw new Error('the body was not read');
  expect(body.bytes.read(0, size).toString()).toMatch(/^a{10000}$/);
  expect(body.bytes.pieces.length).toBeLessThan(1024 + size / 1024);
  expect(budget.used).toBe(size);
  body.release();
  body.release();
  expect(budget.used).toBe(0);
});

it('a few bytes out of a large block are kept without the block, which the bounds do not count', async () => {
  const { request, read } = startReading(10_000);
  const block = Buffer.alloc(65_536, 'a');
  request.emit('data', block.subarray(100, 110));
  request.emit('data', block.subarray(200, 65_000).subarray(0, 100));
  request.emit('end');
  const body = await read;
  if (body.outcome !== 'read') throw new Error('the body was not read');
  // nothing of it shows in what was kept
  block.fill('b');
  expect(body.bytes.read(0, 110).toString()).toMatch(/^a{110}$/);
  expect(body.bytes.pieces.map((piece) => piece.buffer.byteLength)).toEqual([10, 100]);
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
      return body.outcome === 'read' ? body.bytes.read(0, body.bytes.length).toString() : body.outcome;
    }),
  );
  expect(outcomes).toEqual(['{"model":"a"}', 'refused']);
});
