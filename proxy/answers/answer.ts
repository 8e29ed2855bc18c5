import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dialect, Refusal } from '../../core/refusals.ts';
import { toRefusalAnswer } from '../../core/refusal-answer.ts';
import type { Exchange } from '../exchange.ts';

/** A body of this size that nobody reads is cheaper to swallow than a new connection. */
const swallowBytes = 65_536;
/**
 * How long a client that is still sending gets to read its refusal before the connection is closed under it: many read nothing before they have sent all. As long as something comes,
 * and no longer than 30 MiB take at a megabyte a second.
 */
const lingerMs = 2000;
const mostLingerMs = 30_000;
const flushMs = 60_000;

export interface RefusalToAnswer {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly refusal: Refusal;
  readonly dialect: Dialect;
  readonly requestId: string;
  /** name, value, … beside those of the refusal */
  readonly headers: readonly string[];
}

/** Writes a refusal as the whole answer. Does nothing when an answer has begun or the client has gone. */
export function answerRefusal({ request, response, refusal, dialect, requestId, headers }: RefusalToAnswer): void {
  if (response.headersSent || response.destroyed) return;
  const answer = toRefusalAnswer(refusal, dialect, requestId);
  const flat = Object.entries(answer.headers).flat();
  const own = new Set(Object.keys(answer.headers));
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (!own.has(headers[index] as string)) flat.push(headers[index] as string, headers[index + 1] as string);
  }
  answerWhole({ request, response, status: answer.status, headers: flat, body: answer.body });
}

export interface WholeAnswer {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
}

/** Writes a complete answer of our own and sees to a request body that nobody will read. */
export function answerWhole({ request, response, status, headers, body }: WholeAnswer): void {
  const bytes = Buffer.from(body);
  const flat = [...headers, 'content-length', String(bytes.length)];
  if (request.complete) {
    response.writeHead(status, flat).end(bytes);
    return;
  }
  // closing while the client still sends would reset the connection, and with it the answer it has not read yet
  const timers = [lingerMs, mostLingerMs].map((ms) => setTimeout(() => request.destroy(), ms));
  const stop = (): void => timers.forEach(clearTimeout);
  request.on('end', stop).on('close', stop);
  if (isShort(request)) {
    response.writeHead(status, flat).end(bytes);
  } else {
    if (!flat.includes('connection')) flat.push('connection', 'close');
    response.writeHead(status, flat).write(bytes);
    request.on('end', () => response.end());
  }
  request.on('error', () => {}).on('data', () => timers[0]?.refresh());
  request.resume();
}

/** So short that Node reads over it and the connection lives on. A client that waits for `100 Continue` may never send it, one that was too slow neither. */
function isShort(request: IncomingMessage): boolean {
  const { expect, 'content-length': length, 'transfer-encoding': coding } = request.headers;
  const isUntouched = request.readableFlowing === null;
  return isUntouched && expect === undefined && coding === undefined && (length === undefined || Number(length) <= swallowBytes);
}

/** After the last byte was handed over: a client that reads nothing for a minute is cut off, or it would keep its connection for ever. */
export function boundFlush(response: ServerResponse): void {
  const { socket } = response;
  if (socket === null || response.writableLength === 0) return;
  const cut = (): void => void response.destroy();
  socket.setTimeout(flushMs, cut);
  // the connection lives on, and would collect one listener for each answer
  response.once('close', () => socket.off('timeout', cut));
}

/** Headers of every answer to this exchange, as far as they are known by now. */
export function toAnswerHeaders(exchange: Exchange): string[] {
  const headers = [...exchange.answerHeaders];
  if (exchange.key !== undefined) headers.push('x-keywright-key', exchange.key.record.id);
  if (exchange.channel !== undefined) headers.push('x-keywright-channel', exchange.channel.id);
  if (exchange.degraded) headers.push('x-keywright-degraded', 'limits');
  return headers;
}
