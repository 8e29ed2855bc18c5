import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { toRefusalAnswer } from '../../core/refusal-answer.ts';
import type { Dialect, Refusal, RefusalCode } from '../../core/refusals.ts';
import { toClientDialect } from './client-dialect.ts';

type ParserError = Error & { readonly code?: string; /** what the parser was given last */ readonly rawPacket?: unknown };

export interface ToldError {
  readonly status: number;
  readonly refusal: RefusalCode;
  readonly dialect: Dialect;
}

/** How long the client gets to read what it is told. */
const lingerMs = 2000;

const reasonPhrases: Readonly<Record<number, string>> = { 400: 'Bad Request', 431: 'Request Header Fields Too Large' };

/**
 * What Node's parser refuses never becomes a request: oversized or slow headers, two lengths, a length beside chunks. Which dialect was meant is only known as far as the bytes tell. Never
 * 408, which Node itself would send: SDKs retry it.
 * Gives what the client was told; undefined: nothing could be told any more.
 */
export function answerParserError(error: ParserError, socket: Socket, requestId: string): ToldError | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) {
    socket.destroy();
    return undefined;
  }
  const [refusal, dialect] = [toRefusal(error), toDialect(error)];
  const { status, headers, body } = toRefusalAnswer(refusal, dialect, requestId);
  const all = { ...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close' };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${reasonPhrases[status] ?? ''}\r\n${lines.join('')}\r\n${body}`);
  // Node no longer watches this connection, and a client that never closes its side would keep it for ever
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(timer));
  return { status, refusal: refusal.code, dialect };
}

/**
 * An answer to an earlier request of this connection is half written, and whatever we wrote would become part of it, or is still to come, and the client would take ours for
 * it. Node's own handler of parser errors looks at the same field.
 */
function isAnswering(socket: Socket): boolean {
  const pending = pendingOf(socket);
  return pending !== undefined && (pending.headersSent || pending.req.complete);
}

/** The answer that a connection is to carry next. */
export function pendingOf(socket: Socket & { readonly _httpMessage?: ServerResponse | null }): ServerResponse | undefined {
  // eslint-disable-next-line no-underscore-dangle -- Node's own name
  return socket._httpMessage ?? undefined;
}

function toRefusal({ code }: ParserError): Refusal {
  if (code === 'HPE_HEADER_OVERFLOW') return { code: 'headers_too_large', message: 'The headers are too large.' };
  const message = code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'The headers did not arrive in time.' : 'This is not a valid HTTP request.';
  return { code: 'invalid_request', message };
}

/** By the request line and the names of the headers, where they are in the bytes that could not be read: most requests come in one piece. */
function toDialect({ rawPacket }: ParserError): Dialect {
  const [line = '', ...headers] = (Buffer.isBuffer(rawPacket) ? rawPacket.toString('latin1') : '').split('\r\n');
  const target = /^[A-Z]+ (\/\S*) HTTP\//.exec(line)?.[1];
  if (target === undefined) return 'OpenAI';
  const [path = '', query = ''] = target.split('?', 2);
  const names = headers.map((header) => [header.slice(0, Math.max(0, header.indexOf(':'))).toLowerCase(), ''] as const);
  return toClientDialect({ path, query }, Object.fromEntries(names));
}
