import type { Dispatcher } from 'undici';
import type { Registry } from 'prom-client';
import { parseJson } from '../../../core/json.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import { ClusterError } from '../cluster.ts';
import { counterOf } from '../../metric.ts';
import type { Answer } from './answer.ts';
import { parseRetryAfterMs, toClusterError } from './answer.ts';
import type { Connection, ConnectionSource } from './connection.ts';
import { makePool } from './pool.ts';
import { makeSemaphore } from './semaphore.ts';
import { sleep } from './sleep.ts';

type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

export interface ApiRequest {
  readonly verb: Verb;
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly accept?: string;
  /** what it is about, for errors: kind, namespace and name */
  readonly subject: string;
  /** the server's words may hold what must not be seen */
  readonly confidential: boolean;
  /** a lease: passes the queue and does not wait when throttled, since its owner has a deadline */
  readonly urgent?: boolean;
  /** a note that harms nobody when it comes from a process that leads no more */
  readonly harmless?: boolean;
  /** ends the call */
  readonly signal?: AbortSignal;
}

export interface ApiClient {
  /** any answer but 401, 429 and 5xx, which are thrown as a ClusterError when retries have not helped */
  call(request: ApiRequest): Promise<Answer>;
  /** the bytes of a watch; throws a ClusterError for any answer but 200 */
  watch(request: ApiRequest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  close(): Promise<void>;
}

export interface ApiClientOptions {
  readonly connections: ConnectionSource;
  readonly metrics: { readonly registry: Registry };
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
  /** asked whenever a write is about to be sent; the lease itself and Events are not asked about */
  readonly mayWrite: () => boolean;
}

const callTimeoutMs = 15_000;
/** a watch cache that is just being filled answers late */
const watchTimeoutMs = 30_000;
const concurrentCalls = 16;
const throttledTries = 4;
/** a longer wait is the caller's: the work queue and the reflector know how to come back */
const longestThrottleMs = 30_000;
/** credentials are read anew at most so often: a right that was taken away would else start an exec plugin with every call */
const refreshEveryMs = 10_000;

const methods: Record<Verb, Dispatcher.HttpMethod> = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
};

/** Requests to one API server: pooled, bounded, timed; errors without bodies and headers. */
export function makeApiClient(options: ApiClientOptions): ApiClient {
  return new Client(options);
}

class Client implements ApiClient {
  readonly #options: ApiClientOptions;
  readonly #pool = makePool();
  readonly #bounded = makeSemaphore(concurrentCalls);
  readonly #closing = new AbortController();
  /** one by one, because AbortSignal.any on a signal that lives as long as the process keeps growing */
  readonly #underWay = new Set<AbortController>();
  readonly #requests;
  #refreshedMs = Number.NEGATIVE_INFINITY;

  constructor(options: ApiClientOptions) {
    this.#options = options;
    this.#requests = counterOf(
      options.metrics.registry,
      'keywright_kube_requests_total',
      'Requests to the API server by verb and status code (or error)',
      ['verb', 'code'],
    );
  }

  call(request: ApiRequest): Promise<Answer> {
    return request.urgent === true ? this.#callOnce(request) : this.#bounded(() => this.#callPatiently(request));
  }

  async watch(request: ApiRequest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    // Only the headers and an error's body are timed here: the stream that follows is the caller's, who ends it by `signal`.
    const aborted = new AbortController();
    abortWith(aborted, signal);
    return this.#timed({ timeoutMs: watchTimeoutMs, subject: request.subject, aborted }, async () => {
      const response = await this.#send(request, aborted.signal);
      if (response.statusCode === 200) return response.body;
      throw toClusterError(await this.#read(response), request.subject, request.confidential);
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const aborted of this.#underWay) aborted.abort();
    await this.#pool.close();
  }

  async #callPatiently(request: ApiRequest): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#callOnce(request);
      } catch (error) {
        if (!(error instanceof ClusterError) || error.reason !== 'Throttled') throw error;
        const waitMs = (error.retryAfterMs ?? 1_000) * (1 + this.#options.random() * 0.2);
        if (attempt >= throttledTries || waitMs > longestThrottleMs) throw error;
        await sleep(this.#options.clock, waitMs, request.signal ?? this.#closing.signal);
      }
    }
  }

  async #callOnce(request: ApiRequest): Promise<Answer> {
    const aborted = new AbortController();
    const unlink = abortWith(aborted, request.signal);
    const limit = { timeoutMs: callTimeoutMs, subject: request.subject, aborted };
    const answer = await this.#timed(limit, async () => this.#read(await this.#send(request, aborted.signal))).finally(unlink);
    if (answer.code === 401 || answer.code === 429 || answer.code >= 500) {
      throw toClusterError(answer, request.subject, request.confidential);
    }
    return answer;
  }

  /** Sends; a GET whose kept connection turns out to be dead, and a call with refused credentials, are sent once more. */
  async #send(request: ApiRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    let response: Dispatcher.ResponseData;
    try {
      response = await this.#dispatch(request, signal);
    } catch (error) {
      if (signal.aborted || methods[request.verb] !== 'GET' || !isDeadConnection(error)) throw error;
      response = await this.#dispatch(request, signal);
    }
    if (response.statusCode !== 401 || !this.#refreshCredentials()) return response;
    await response.body.dump();
    return this.#dispatch(request, signal);
  }

  async #dispatch(request: ApiRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    try {
      const connection = await this.#options.connections.current();
      const writes = methods[request.verb] !== 'GET' && request.urgent !== true && request.harmless !== true;
      if (writes && !this.#options.mayWrite())
        throw new ClusterError('Unavailable', `${request.subject}: this process does not lead any more`);
      const response = await this.#pool.of(connection).request({
        origin: connection.origin,
        method: methods[request.verb],
        path: connection.basePath + request.path + toQuery(request.query),
        headers: toHeaders(request, connection),
        body: request.body === undefined ? null : JSON.stringify(request.body),
        signal,
      });
      this.#requests.inc({ verb: request.verb, code: String(response.statusCode) });
      return response;
    } catch (error) {
      this.#requests.inc({ verb: request.verb, code: 'error' });
      throw error;
    }
  }

  async #read(response: Dispatcher.ResponseData): Promise<Answer> {
    const text = await response.body.text();
    const retryAfterMs = parseRetryAfterMs(response.headers['retry-after'], this.#options.clock.now());
    return { code: response.statusCode, body: parseJson(text), retryAfterMs };
  }

  async #timed<T>(limit: { timeoutMs: number; subject: string; aborted: AbortController }, work: () => Promise<T>): Promise<T> {
    let late = false;
    const timer = this.#options.clock.after(limit.timeoutMs, () => {
      late = true;
      limit.aborted.abort();
    });
    this.#underWay.add(limit.aborted);
    try {
      if (this.#closing.signal.aborted) throw new ClusterError('Unavailable', `${limit.subject}: the client is closed`);
      return await work();
    } catch (error) {
      if (error instanceof ClusterError) throw error;
      throw new ClusterError('Unavailable', `${limit.subject}: ${late ? 'no answer in time' : toCause(error)}`);
    } finally {
      timer.cancel();
      this.#underWay.delete(limit.aborted);
    }
  }

  #refreshCredentials(): boolean {
    const nowMs = this.#options.clock.now();
    if (nowMs - this.#refreshedMs < refreshEveryMs) return false;
    this.#refreshedMs = nowMs;
    this.#options.log.info('the API server refused our credentials: they are read anew');
    this.#options.connections.refresh();
    return true;
  }
}

/** @returns what ends the link: signals outlive calls by far */
function abortWith(controller: AbortController, signal: AbortSignal | undefined): () => void {
  const abort = () => controller.abort();
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  return () => signal?.removeEventListener('abort', abort);
}

function toHeaders(request: ApiRequest, connection: Connection): Record<string, string> {
  const headers: Record<string, string> = { accept: request.accept ?? 'application/json', 'user-agent': 'keywright-operator' };
  if (request.body !== undefined) {
    headers['content-type'] = request.verb === 'patch' ? 'application/merge-patch+json' : 'application/json';
  }
  if (connection.authorization !== undefined) headers['authorization'] = connection.authorization.reveal();
  if (connection.impersonateUser !== undefined) headers['impersonate-user'] = connection.impersonateUser;
  return headers;
}

function toQuery(query: Readonly<Record<string, string>> | undefined): string {
  const text = new URLSearchParams(query).toString();
  return text === '' ? '' : `?${text}`;
}

/** A code such as ECONNREFUSED; never the message, which may hold anything. */
function toCause(error: unknown): string {
  const code = error instanceof Error ? (Reflect.get(error, 'code') ?? Reflect.get(Object(error.cause), 'code')) : undefined;
  if (typeof code === 'string') return code;
  return error instanceof Error ? error.name : 'failed';
}

function isDeadConnection(error: unknown): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(toCause(error));
}
