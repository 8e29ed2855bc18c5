import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Dialect, Refusal, RefusalCode } from '../../core/refusals.ts';
import { writeAccessLine } from '../access-log.ts';
import { answerRefusal, answerWhole } from '../answers/answer.ts';
import { makeClientAddress } from './client-address.ts';
import { toClientDialect } from './client-dialect.ts';
import { answerParserError, pendingOf } from './client-error.ts';
import { toCorsHeaders, toPreflightHeaders } from './cors.ts';
import { type Exchange, makeExchange } from '../exchange.ts';
import type { InFlight } from '../in-flight.ts';
import { findEndpoint } from './find-endpoint.ts';
import { isUnsupportedCall, refusePath } from './known-paths.ts';
import type { Parts } from '../parts.ts';
import { runPipeline } from '../pipeline.ts';
import type { Endpoint } from '../dialects/dialect.ts';
import type { Route } from './router.ts';
import { isRefusal, parseTarget, type Target } from './target.ts';

export interface FrontDoorOptions {
  readonly parts: Parts;
  readonly inFlight: InFlight;
  readonly maxInFlight: number;
  readonly trustedProxies: readonly string[];
  readonly corsOrigins: readonly string[];
  readonly draining: () => boolean;
}

/** What happens to a request before it has an exchange and a pipeline. */
export interface FrontDoor {
  /** Refuses an odd target or host; gives true when it did. Has to be asked before the router, which would normalise some of what has to be refused. */
  turnsAway(request: IncomingMessage, response: ServerResponse): boolean;
  /** every request that was routed; `route` is undefined where there is no such path */
  handle(request: IncomingMessage, response: ServerResponse, route: Route | undefined): void;
  /** what could not be read as a request */
  refuseUnreadable(error: Error, socket: Socket): void;
}

type Found = Pick<Exchange, 'surface' | 'driver' | 'dialect' | 'target' | 'parameters'>;

export function makeFrontDoor({ parts, inFlight, maxInFlight, trustedProxies, corsOrigins, draining }: FrontDoorOptions): FrontDoor {
  const toClientAddress = makeClientAddress(trustedProxies);

  function start(request: IncomingMessage, response: ServerResponse, found: Found): void {
    const requestId = makeRequestId();
    const { dialect } = found;
    const exchange = makeExchange({
      requestId,
      request,
      response,
      ...found,
      clientAddress: readClientAddress(request),
      startedMs: performance.now(),
      answerHeaders: toCommonHeaders(request, dialect, requestId),
    });
    inFlight.add(exchange);
    void runPipeline(exchange, parts).finally(() => inFlight.remove(exchange));
  }

  /** Refuses what no stage has seen. */
  function refuse(
    request: IncomingMessage,
    response: ServerResponse,
    refusal: Refusal,
    given: { dialect?: Dialect | undefined; headers?: readonly string[] } = {},
  ): void {
    const requestId = makeRequestId();
    const dialect = given.dialect ?? toDialect(request);
    answerRefusal({
      request,
      response,
      refusal,
      dialect,
      requestId,
      headers: [...toCommonHeaders(request, dialect, requestId), ...(given.headers ?? [])],
    });
    tell({ requestId, clientAddress: readClientAddress(request), dialect, status: response.statusCode, refusal: refusal.code });
  }

  /** What has no exchange has its access line all the same: whoever was given a request id may ask for it. */
  function tell({ requestId, clientAddress, dialect, status, refusal }: Told): void {
    const line = { request_id: requestId, client_address: clientAddress, dialect, status, refusal };
    writeAccessLine(parts.log, { ...line, duration_ms: 0, attempts: 0 });
    if (refusal !== undefined) parts.metrics.refusals.inc({ key: '', reason: refusal });
  }

  function refuseMethod(request: IncomingMessage, response: ServerResponse, found: { allow: string; dialect: Dialect | undefined }): void {
    const { allow, dialect } = found;
    const cors = toCorsHeaders(request.headers.origin, corsOrigins);
    if (request.method === 'OPTIONS' && cors.length > 0) {
      const requestId = makeRequestId();
      const headers = [
        ...toCommonHeaders(request, 'OpenAI', requestId),
        ...toPreflightHeaders(allow, request.headers['access-control-request-headers']),
      ];
      answerWhole({ request, response, status: 200, headers, body: '' });
      return tell({ requestId, clientAddress: readClientAddress(request), dialect: dialect ?? 'OpenAI', status: 200 });
    }
    const refusal: Refusal = { code: 'method_not_allowed', message: `This endpoint takes ${allow}.`, shouldRetry: false };
    return refuse(request, response, refusal, { dialect, headers: ['allow', allow] });
  }

  function readClientAddress(request: IncomingMessage): string {
    const forwardedFor = request.headers['x-forwarded-for'];
    return toClientAddress(request.socket.remoteAddress, Array.isArray(forwardedFor) ? forwardedFor.join(',') : forwardedFor);
  }

  function toCommonHeaders(request: IncomingMessage, dialect: Dialect, requestId: string): string[] {
    const headers = ['x-request-id', requestId];
    if (dialect === 'Anthropic') headers.push('request-id', requestId);
    if (draining()) headers.push('connection', 'close');
    if (corsOrigins.length > 0) headers.push(...toCorsHeaders(request.headers.origin, corsOrigins));
    return headers;
  }

  return {
    turnsAway(request, response) {
      const target = parseTarget(request.url ?? '');
      const refusal = isRefusal(target) ? target : (checkVersion(request) ?? checkHost(request));
      if (refusal === undefined) return false;
      refuse(request, response, refusal);
      return true;
    },
    handle(request, response, route) {
      const target = parseTarget(request.url ?? '');
      if (isRefusal(target)) return refuse(request, response, target);
      if (route === undefined || isUnsupportedCall(target.path)) return refuse(request, response, refusePath(target.path));
      const found = findEndpoint(route, request.method);
      if ('unknownVerb' in found) return refuse(request, response, refusePath(target.path), { dialect: found.dialect });
      if ('allow' in found) return refuseMethod(request, response, found);
      const { endpoint, parameters } = found;
      const dialect = toDialectOf(endpoint, target, request);
      if (inFlight.count < maxInFlight) return start(request, response, { ...endpoint, dialect, target, parameters });
      const refusal: Refusal = { code: 'overloaded', message: 'The gateway has too many requests in flight.', retryAfterMs: 1000 };
      return refuse(request, response, refusal, { dialect });
    },
    refuseUnreadable(error, socket) {
      const pending = pendingOf(socket);
      // a body that breaks off, or is in no order: its request has begun, and has a line of its own
      const begun = pending && [...inFlight.all()].find(({ response }) => response === pending);
      const requestId = begun?.requestId ?? makeRequestId();
      const clientAddress = toClientAddress(socket.remoteAddress, undefined);
      const told = answerParserError(error, socket, requestId);
      if (told !== undefined && begun === undefined) tell({ requestId, clientAddress, ...told });
    },
  };
}

interface Told {
  readonly requestId: string;
  readonly clientAddress: string;
  readonly dialect: Dialect;
  readonly status: number;
  readonly refusal?: RefusalCode;
}

/** Chosen here and never taken over from the client: admission is idempotent by it. */
function makeRequestId(): string {
  return `req_${randomUUID().replaceAll('-', '')}`;
}

/** Node's parser also takes `HTTP/2.0` in a request line, where a peer that speaks it would send something else. */
function checkVersion({ httpVersion }: IncomingMessage): Refusal | undefined {
  if (httpVersion === '1.1' || httpVersion === '1.0') return undefined;
  return { code: 'invalid_request', message: 'only HTTP/1.1 is spoken here' };
}

/** RFC 9112 section 3.2: HTTP/1.1 needs a Host, and nobody may send two: two readers could go by different ones. */
function checkHost({ httpVersion, rawHeaders }: IncomingMessage): Refusal | undefined {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.length === 4 && name.toLowerCase() === 'host').length;
  if (hosts === 1 || (hosts === 0 && httpVersion === '1.0')) return undefined;
  return { code: 'invalid_request', message: 'the request has to carry exactly one Host header' };
}

/** `/v1/models` belongs to several dialects: its surface is listed once, and the request tells which is meant. */
function toDialectOf({ surface }: Endpoint, target: Target, { headers }: IncomingMessage): Dialect {
  return surface.scope === 'read' ? toClientDialect(target, headers) : surface.dialect;
}

function toDialect(request: IncomingMessage): Dialect {
  const [path = '', query = ''] = (request.url ?? '').split('?', 2);
  return toClientDialect({ path, query }, request.headers);
}
