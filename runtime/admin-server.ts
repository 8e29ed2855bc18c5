import { fastify } from 'fastify';
import type { Address } from './environment.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { toMetricsText } from './metrics-text.ts';

export interface AdminServerOptions {
  readonly listen: Address;
  readonly metrics: Pick<Metrics, 'registry'>;
  /** why the process is not ready, for people; empty = ready */
  readonly readiness: () => readonly string[];
  /** name → what `/debug/<name>` shows as JSON; must already be redacted */
  readonly debug?: Readonly<Record<string, () => unknown>>;
  readonly log: Log;
}

export interface AdminServer {
  /** `http://host:port` with the port that the system chose */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * `/livez` (the process answers; depends on nothing else, so that an outage elsewhere restarts nobody), `/readyz` (200, or 503 with the reasons, one a line),
 * `/metrics` and `/debug/*`. A port of its own, not for clients.
 */
export async function startAdminServer({ listen, metrics, readiness, debug = {}, log }: AdminServerOptions): Promise<AdminServer> {
  const server = fastify({ logger: false, forceCloseConnections: true });
  server.get('/livez', (_request, reply) => reply.type('text/plain').send('ok\n'));
  server.get('/readyz', (_request, reply) => {
    const reasons = readiness();
    return reply
      .type('text/plain')
      .code(reasons.length === 0 ? 200 : 503)
      .send(reasons.length === 0 ? 'ok\n' : `${reasons.join('\n')}\n`);
  });
  server.get('/metrics', async (_request, reply) => reply.type(metrics.registry.contentType).send(await toMetricsText(metrics.registry)));
  for (const [name, show] of Object.entries(debug)) {
    server.get(`/debug/${name}`, (_request, reply) => reply.type('application/json').send(`${JSON.stringify(show(), undefined, 2)}\n`));
  }
  server.setErrorHandler((error, request, reply) => {
    log.error({ err: error, path: request.url }, 'admin request failed');
    return reply.type('text/plain').code(500).send('internal error\n');
  });
  await server.listen(listen);
  const bound = server.server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the admin server has no address although it listens');
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  return { address: `http://${host}:${bound.port}`, close: () => server.close() };
}
