import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw, createZstdDecompress } from 'node:zlib';
import type { Refusal } from '../../core/refusals.ts';
import { type ByteList, makeByteList } from './byte-list.ts';
import type { BodyBudget } from './body-budget.ts';

export interface BodyBounds {
  /** of one body, as sent and as decoded */
  readonly maxBytes: number;
  /** of all bodies of the process */
  readonly budget: BodyBudget;
  /** a body that takes longer has to arrive at `minBytesPerSecond` */
  readonly patienceMs: number;
  readonly minBytesPerSecond: number;
}

export type ReadBody =
  /** decoded bytes; `release` gives their room back and must be called once they are no longer needed */
  | { readonly outcome: 'read'; readonly bytes: ByteList; readonly release: () => void }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }
  /** the client hung up before the end */
  | { readonly outcome: 'gone' };

/**
 * Looks at the headers that tell about the body, before a byte of it is read (and so before `100 Continue`). Refuses a length above the bound (413), a content coding
 * we cannot undo (415) and transfer codings beside `chunked` (400).
 */
export function checkBodyHeaders(request: IncomingMessage, maxBytes: number): Refusal | undefined {
  const transferCoding = request.headers['transfer-encoding'];
  if (transferCoding !== undefined && transferCoding.trim().toLowerCase() !== 'chunked') {
    return { code: 'invalid_request', message: 'the only transfer coding accepted is chunked' };
  }
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return tooLarge(maxBytes);
  if (parseCoding(request.headers['content-encoding']) === undefined) {
    return { code: 'unsupported_encoding', message: 'content codings accepted: gzip, deflate, br, zstd, one at a time' };
  }
  return undefined;
}

/** Reads a whole body within the bounds and undoes its content coding. Call `checkBodyHeaders` first. Never rejects. */
export async function readBody(request: IncomingMessage, bounds: BodyBounds): Promise<ReadBody> {
  const sink = makeSink(bounds);
  const received = await receive(request, sink, bounds);
  if (received !== undefined) {
    sink.release();
    return received;
  }
  const coding = parseCoding(request.headers['content-encoding']);
  if (coding === undefined || coding === 'identity') return { outcome: 'read', bytes: sink.take(), release: sink.release };
  const decoded = makeSink(bounds);
  const refusal = await decode(sink.take(), coding, decoded);
  sink.release();
  if (refusal === undefined) return { outcome: 'read', bytes: decoded.take(), release: decoded.release };
  decoded.release();
  return { outcome: 'refused', refusal };
}

interface Sink {
  /** takes the chunk or tells why not */
  add(chunk: Buffer): Refusal | undefined;
  /** gives all of it and holds nothing any more; its room stays taken */
  take(): ByteList;
  /** gives the room back; idempotent */
  release(): void;
}

/**
 * A Buffer costs a hundred bytes beside its content, so a body sent in chunks of one byte would take a hundred times the memory that the bounds count. So many in a row
 * are put together; bodies that come in pieces of the usual size never reach this number.
 */
const maxLooseChunks = 1024;

function makeSink({ maxBytes, budget }: BodyBounds): Sink {
  const chunks: Buffer[] = [];
  let loose = 0;
  let taken = 0;
  return {
    add(chunk) {
      if (taken + chunk.length > maxBytes) return tooLarge(maxBytes);
      if (!budget.take(chunk.length)) return { code: 'overloaded', message: 'the gateway holds too many request bodies at this moment' };
      taken += chunk.length;
      chunks.push(toOwn(chunk));
      loose += 1;
      if (loose < maxLooseChunks) return undefined;
      chunks.push(Buffer.concat(chunks.splice(-loose)));
      loose = 0;
      return undefined;
    },
    take: () => makeByteList(chunks.splice(0)),
    release() {
      budget.give(taken);
      taken = 0;
      chunks.length = 0;
    },
  };
}

/**
 * A piece of a larger block keeps all of it alive: with chunk extensions a client fills what is read at once with a few bytes of body and 16 KiB of nothing, and the bounds would
 * count the few.
 */
function toOwn(chunk: Buffer): Buffer {
  if (chunk.length * 2 > chunk.buffer.byteLength) return chunk;
  const own = Buffer.allocUnsafeSlow(chunk.length);
  chunk.copy(own);
  return own;
}

/** Gives undefined when the whole body is in the sink. */
function receive(request: IncomingMessage, sink: Sink, bounds: BodyBounds): Promise<ReadBody | undefined> {
  const { promise, resolve } = Promise.withResolvers<ReadBody | undefined>();
  const startedMs = performance.now();
  let received = 0;
  let timer = setTimeout(onPatienceOver, bounds.patienceMs);

  function finish(outcome: ReadBody | undefined): void {
    clearTimeout(timer);
    request.off('data', onData).off('end', onEnd).off('close', onClose);
    if (outcome !== undefined) request.pause();
    resolve(outcome);
  }
  function onData(chunk: Buffer): void {
    received += chunk.length;
    const refusal = sink.add(chunk);
    if (refusal !== undefined) finish({ outcome: 'refused', refusal });
  }
  function onEnd(): void {
    finish(undefined);
  }
  function onClose(): void {
    finish({ outcome: 'gone' });
  }
  function onPatienceOver(): void {
    const seconds = (performance.now() - startedMs) / 1000;
    if (received >= seconds * bounds.minBytesPerSecond) timer = setTimeout(onPatienceOver, 1000);
    else finish({ outcome: 'refused', refusal: { code: 'invalid_request', message: 'the request body did not arrive in time' } });
  }

  request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  return promise;
}

/** A content coding that is undone here (RFC 9110 section 8.4.1). */
export type Coding = 'gzip' | 'deflate' | 'br' | 'zstd';

const codings: ReadonlySet<string> = new Set<Coding>(['gzip', 'deflate', 'br', 'zstd']);

/** Reads a `Content-Encoding`: `identity` when there is none, undefined for a coding, or a chain of them, that is not undone here. */
export function parseCoding(header: string | undefined): Coding | 'identity' | undefined {
  const coding = (header ?? '').trim().toLowerCase();
  if (coding === '' || coding === 'identity') return 'identity';
  if (coding === 'x-gzip') return 'gzip';
  return codings.has(coding) ? (coding as Coding) : undefined;
}

/** Stops at the first byte beyond the bounds, so that a small body that unfolds without end costs no more than a large one. */
function decode(bytes: ByteList, coding: Coding, sink: Sink): Promise<Refusal | undefined> {
  const { promise, resolve } = Promise.withResolvers<Refusal | undefined>();
  const decoder = makeDecoder(coding, bytes.read(0, 2));
  const undecodable: Refusal = { code: 'invalid_request', message: `the request body is not valid ${coding}` };
  decoder.on('data', (chunk: Buffer) => {
    const refusal = sink.add(chunk);
    if (refusal === undefined) return;
    resolve(refusal);
    decoder.destroy();
  });
  // what follows the coded body is not part of it, and another reader might take it for some
  decoder.on('end', () => resolve(decoder.bytesWritten === bytes.length ? undefined : undecodable));
  decoder.on('error', () => resolve(undecodable));
  for (const piece of bytes.pieces) decoder.write(piece);
  decoder.end();
  return promise;
}

/**
 * Undoes one content coding (RFC 9110 section 8.4.1). `deflate` is the zlib format, but many senders send raw deflate: the first two bytes tell (RFC 1950 section 2.2).
 */
export function makeDecoder(coding: Coding, start: Buffer): Transform & { readonly bytesWritten: number } {
  if (coding === 'gzip') return createGunzip();
  if (coding === 'br') return createBrotliDecompress();
  if (coding === 'zstd') return createZstdDecompress();
  const [first = 0, second = 0] = start;
  const isZlib = (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0;
  return isZlib ? createInflate() : createInflateRaw();
}

function tooLarge(maxBytes: number): Refusal {
  return { code: 'request_too_large', message: `the request body is larger than ${maxBytes} bytes` };
}
