import { fastify, type FastifyInstance, type FastifyServerOptions } from 'fastify';
import { METHODS, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { anthropicDriver } from './dialects/anthropic.ts';
import type { DialectDriver, Surface } from './dialects/dialect.ts';
import { openaiDriver } from './dialects/openai.ts';
import { ownSurfaces } from './own-surfaces.ts';

export interface Endpoint {
  readonly surface: Surface;
  readonly driver: DialectDriver;
}

/** All surfaces of one path; they differ in method. */
export type PathEndpoints = readonly Endpoint[];

export const drivers: readonly DialectDriver[] = [openaiDriver, anthropicDriver];

declare module 'fastify' {
  interface FastifyContextConfig {
    endpoints?: PathEndpoints;
  }
}

export interface RouterOptions {
  /** gets the listener that routes, and may answer odd requests before it */
  readonly makeServer: (listener: RequestListener) => Server;
  /** every request ends here; `endpoints` is undefined on an unknown path */
  readonly handle: (request: IncomingMessage, response: ServerResponse, endpoints: PathEndpoints | undefined) => void;
  readonly onClientError: NonNullable<FastifyServerOptions['clientErrorHandler']>;
}

/**
 * Fastify as router only: each request is taken over in the first hook, with its body unread. Nothing after that hook ever runs.
 */
export function makeRouter({ makeServer, handle, onClientError }: RouterOptions): FastifyInstance {
  const router = fastify({
    logger: false,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    routerOptions: { caseSensitive: true, maxParamLength: 1024 },
    clientErrorHandler: onClientError,
    serverFactory: (listener) => makeServer(listener),
  });
  // Fastify knows the common methods only; any other on a path of ours is 405 as well, and not an unknown path
  for (const method of METHODS) if (!router.supportedMethods.includes(method)) router.addHttpMethod(method);
  router.addHook('onRequest', (request, reply) => {
    reply.hijack();
    handle(request.raw, reply.raw, request.is404 ? undefined : request.routeOptions.config.endpoints);
  });
  for (const [url, endpoints] of groupByPath()) router.all(url, { config: { endpoints } }, neverReached);
  router.setNotFoundHandler(neverReached);
  return router;
}

function groupByPath(): Map<string, PathEndpoints> {
  const providers = drivers.flatMap((driver) => driver.surfaces.map((surface) => ({ surface, driver })));
  const own = ownSurfaces.map((surface) => ({ surface, driver: openaiDriver }));
  return Map.groupBy([...providers, ...own], ({ surface }) => surface.path);
}

function neverReached(): never {
  throw new Error('a request passed the first hook');
}
