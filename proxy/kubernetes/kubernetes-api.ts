import { type Dispatcher, Pool } from 'undici';
import { snapshotSecretType } from '../../core/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { liesBefore } from '../../runtime/resource-version.ts';
import type { KubeConnection, TlsMaterial } from './kube-config.ts';
import { type CallFailure, type ListAnswer, parseEvent, toFailure, toPage, type WatchEvent } from './api-answers.ts';
import { makeLineSplitter } from './line-splitter.ts';
import { makeWatchdog, type Watchdog } from './watchdog.ts';

export interface WatchOptions {
  readonly resourceVersion: string;
  /** asks the server to end the watch by itself after so long */
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
  /** the server has accepted the watch */
  readonly onOpen: () => void;
  readonly onEvent: (event: WatchEvent) => void;
}

/** The two calls a proxy makes. Neither rejects; an aborted one answers as failed. */
export interface KubernetesApi {
  /** `limit`: of one page; default 500 */
  list(options: { continueToken: string | undefined; limit?: number; signal: AbortSignal }): Promise<ListAnswer>;
  /** resolves when the watch is over: undefined if the server ended it in order */
  watch(options: WatchOptions): Promise<CallFailure | undefined>;
  close(): Promise<void>;
}

export interface KubernetesApiOptions {
  readonly connection: KubeConnection;
  readonly namespace: string;
  readonly clock: Clock;
}

/** A page is parsed in one go, and a shard may have 680 KiB in base64: so few keep a usual page at a millisecond or two. */
const pageSize = 12;
const listTimeoutMs = 60_000;
const answerTimeoutMs = 30_000;
/** The server sends a bookmark about every minute, so two of them missing mean that nobody is there any more (a half-open connection never errs). */
const inactivityMs = 120_000;
const connectTimeoutMs = 10_000;
/** A Secret is bounded at 1 MiB by the API server; base64, metadata and escapes on top. */
const longestLineBytes = 8 * 1024 * 1024;

/** LIST and WATCH of the snapshot Secrets of one namespace, over one kept-alive connection. Needs `list` and `watch` on secrets there, nothing else. */
export function makeKubernetesApi({ connection, namespace, clock }: KubernetesApiOptions): KubernetesApi {
  const server = new URL(connection.server);
  const path = `${server.pathname.replace(/\/$/, '')}/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets`;
  const fieldSelector = `type=${snapshotSecretType}`;
  let pool: { readonly digest: string; readonly dispatcher: Pool } | undefined;

  /** A new pool when certificates were renewed on disk; calls never overlap, so the old one is idle. */
  function currentPool(): Pool {
    const tls = connection.tls();
    const digest = sha256Hex(JSON.stringify([tls, tls.privateKey?.reveal()]));
    if (pool?.digest === digest) return pool.dispatcher;
    void pool?.dispatcher.destroy();
    pool = { digest, dispatcher: makePool(server, tls) };
    return pool.dispatcher;
  }

  async function call(query: Record<string, string>, watchdog: Watchdog): Promise<Dispatcher.ResponseData | CallFailure> {
    const token = connection.token();
    const answer = await currentPool().request({
      method: 'GET',
      path: `${path}?${new URLSearchParams({ fieldSelector, ...query }).toString()}`,
      headers: {
        accept: 'application/json',
        'user-agent': 'keywright-proxy',
        ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
      },
      signal: watchdog.signal,
    });
    return answer.statusCode === 200 ? answer : toFailure(answer, namespace, clock.now());
  }

  return {
    async list({ continueToken, limit = pageSize, signal }) {
      const watchdog = makeWatchdog(clock, signal);
      watchdog.expect(listTimeoutMs, 'the list took too long');
      try {
        const answer = await call({ limit: String(limit), ...(continueToken === undefined ? {} : { continue: continueToken }) }, watchdog);
        return 'reason' in answer ? { ok: false, failure: answer } : toPage(await answer.body.json());
      } catch (error) {
        return { ok: false, failure: { reason: 'failed', message: watchdog.why ?? describeError(error) } };
      } finally {
        watchdog.end();
      }
    },

    async watch({ resourceVersion, timeoutSeconds, signal, onOpen, onEvent }) {
      const watchdog = makeWatchdog(clock, signal);
      watchdog.expect(answerTimeoutMs, 'the API server did not answer the watch');
      try {
        const query = { watch: '1', allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: String(timeoutSeconds) };
        const answer = await call(query, watchdog);
        if ('reason' in answer) return answer;
        onOpen();
        return await readWatch(answer.body, watchdog, { resourceVersion, onEvent });
      } catch (error) {
        return { reason: watchdog.why === undefined ? 'failed' : 'silent', message: watchdog.why ?? describeError(error) };
      } finally {
        watchdog.end();
      }
    },

    async close() {
      await pool?.dispatcher.destroy();
    },
  };
}

const setBack: CallFailure = { reason: 'gone', message: 'the versions of the API server have gone back (a restored store?)' };

async function readWatch(
  body: AsyncIterable<unknown>,
  watchdog: Watchdog,
  { resourceVersion, onEvent }: Pick<WatchOptions, 'resourceVersion' | 'onEvent'>,
): Promise<CallFailure | undefined> {
  const splitter = makeLineSplitter();
  const alive = (): void => watchdog.expect(inactivityMs, 'nothing came for two minutes, not even a bookmark');
  alive();
  // leaving the loop early destroys the body and with it the connection
  for await (const chunk of body) {
    alive();
    for (const line of splitter.push(chunk as Uint8Array)) {
      const event = parseEvent(line);
      if ('reason' in event) return event;
      if (event.type === 'Bookmark' && liesBefore(event.resourceVersion, resourceVersion)) return setBack;
      onEvent(event);
    }
    if (splitter.pendingBytes > longestLineBytes) return { reason: 'failed', message: 'a line of the watch is too long' };
  }
  return splitter.pendingBytes === 0 ? undefined : { reason: 'failed', message: 'the watch ended inside a line' };
}

function makePool(server: URL, { ca, certificate, privateKey, serverName, verify }: TlsMaterial): Pool {
  return new Pool(server.origin, {
    connections: 1,
    pipelining: 1,
    allowH2: false,
    // the clock that is passed in watches over the calls
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: {
      timeout: connectTimeoutMs,
      keepAlive: true,
      rejectUnauthorized: verify,
      ...(ca === undefined ? {} : { ca }),
      ...(certificate === undefined ? {} : { cert: certificate, key: privateKey?.reveal() ?? '' }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    },
  });
}

/** Network errors name hosts and causes, never what was sent. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  if (error instanceof SyntaxError) return 'the answer is not JSON';
  const inner = error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : error;
  const code = 'code' in inner && typeof inner.code === 'string' ? `${inner.code}: ` : '';
  return `${code}${inner.message}`;
}
