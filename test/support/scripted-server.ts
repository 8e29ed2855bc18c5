import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Certificate } from './certificate.ts';
import { makeTemporaryDirectory } from './child.ts';

export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** answers with JSON and ends */
  json(code: number, body: unknown, headers?: Record<string, string>): void;
  /** one line of a watch */
  line(value: unknown): void;
  /** ends the connection without a word */
  reset(): void;
}

export interface ScriptedServer {
  readonly url: string;
  /** what was asked, as `GET /path?query` */
  readonly requests: readonly string[];
  /** connections that were ever made */
  readonly connections: number;
  /** a kubeconfig for it; `user` and `cluster` as in the file */
  kubeconfig(user?: Record<string, unknown>, cluster?: Record<string, unknown>): string;
  /** shows another certificate to new connections and resets those that are open */
  changeCertificate(certificate: Certificate): void;
  stop(): Promise<void>;
}

export interface ScriptedServerOptions {
  /** default: any free one */
  readonly port?: number;
  /** HTTPS */
  readonly certificate?: Certificate;
}

/** An HTTP server that answers as the test says: for the faults that a real API server cannot be made to have. */
export async function startScriptedServer(
  script: (exchange: Exchange) => void,
  { port = 0, certificate }: ScriptedServerOptions = {},
): Promise<ScriptedServer> {
  const requests: string[] = [];
  let connections = 0;
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? '/', 'http://server');
    requests.push(`${request.method} ${request.url}`);
    script({
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      request,
      response,
      json(code, body, headers = {}) {
        response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
      },
      line(value) {
        response.write(`${JSON.stringify(value)}\n`);
      },
      reset() {
        request.socket.resetAndDestroy();
      },
    });
  };
  const server = certificate === undefined ? createServer(take) : createTlsServer(toTls(certificate), take);
  server.on('connection', () => (connections += 1));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const url = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    requests,
    get connections() {
      return connections;
    },
    kubeconfig(user = { token: 'scripted-token' }, trust = { 'insecure-skip-tls-verify': true }) {
      const path = join(makeTemporaryDirectory('scripted'), 'kubeconfig.json');
      const cluster = { server: url, ...trust };
      const context = { cluster: 'c', user: 'u' };
      const clusters = [{ name: 'c', cluster }];
      const document = { clusters, users: [{ name: 'u', user }], contexts: [{ name: 'x', context }], 'current-context': 'x' };
      writeFileSync(path, JSON.stringify(document), { mode: 0o600 });
      return path;
    },
    changeCertificate(other) {
      (server as TlsServer).setSecureContext(toTls(other));
      server.closeAllConnections();
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function toTls({ certificate, privateKey }: Certificate): { cert: string; key: string } {
  return { cert: certificate, key: privateKey };
}
