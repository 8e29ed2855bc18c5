import type { Dispatcher } from 'undici';
import { Pool, ProxyAgent } from 'undici';
import type { Connection } from './connection.ts';

export interface ConnectionPool {
  /** the pool for that connection: the same one as long as server and TLS material are the same */
  of(connection: Connection): Dispatcher;
  close(): Promise<void>;
}

/**
 * One pool of connections, made anew only when certificates change (an exec plugin or a file gave new ones); the old one ends when its
 * last request has. Time-outs of requests are the client's, by its own clock, so undici's are off.
 */
export function makePool(): ConnectionPool {
  let known: { identity: string; dispatcher: Dispatcher } | undefined;

  return {
    of(connection) {
      const identity = JSON.stringify([connection.origin, connection.proxyUrl, connection.tls]);
      if (known?.identity === identity) return known.dispatcher;
      void known?.dispatcher.close().catch(() => undefined);
      known = { identity, dispatcher: makeDispatcher(connection) };
      return known.dispatcher;
    },
    async close() {
      await known?.dispatcher.destroy();
      known = undefined;
    },
  };
}

function makeDispatcher(connection: Connection): Dispatcher {
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: 30_000 };
  const timeouts = { headersTimeout: 0, bodyTimeout: 0 };
  if (connection.proxyUrl !== undefined) {
    return new ProxyAgent({ uri: connection.proxyUrl, requestTls: { ...connection.tls, ...keepAlive }, ...timeouts });
  }
  // HTTP/1.1: in HTTP/2 all streams share the window of one connection, and a watch that is told of large objects without a pause holds up every other one and all calls.
  // No bound of connections here: each watch holds one for ever; the client bounds the others.
  const connect = { ...connection.tls, ...keepAlive, timeout: 10_000 };
  // Idle ones are kept for less than the API server keeps them (90 s), or each quiet minute would cost a TLS handshake.
  return new Pool(connection.origin, { connect, keepAliveTimeout: 60_000, allowH2: false, ...timeouts });
}
