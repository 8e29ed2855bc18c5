import { fastify, type FastifyInstance, type FastifyServerOptions } from 'fastify';
import { METHODS, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Endpoint, PathParameters } from '../dialects/dialect.ts';
import { endpoints as providerEndpoints } from '../dialects/endpoints.ts';
import { ownSurfaces } from '../own-surfaces/own-surfaces.ts';

/** All surfaces of one path; they differ in method. */
export type PathEndpoints = readonly Endpoint[];

/** Where a request goes: the surfaces of its path, and what the path says. */
export interface Route {
  readonly endpoints: PathEndpoints;
  readonly parameters: PathParameters;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    endpoints?: PathEndpoints;
  }
}

export interface RouterOptions {
  /** gets the listener that routes, and may answer odd requests before it */
  readonly makeServer: (listener: RequestListener) => Server;
  /** every request ends here; `route` is undefined on an unknown path */
  readonly handle: (request: IncomingMessage, response: ServerResponse, route: Route | undefined) => void;
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
    const endpoints = request.is404 ? undefined : request.routeOptions.config.endpoints;
    handle(request.raw, reply.raw, endpoints === undefined ? undefined : { endpoints, parameters: request.params as PathParameters });
  });
  for (const [url, endpoints] of groupByPath()) router.all(url, { config: { endpoints } }, neverReached);
  router.setNotFoundHandler(neverReached);
  return router;
}

function groupByPath(): Map<string, PathEndpoints> {
  const own = ownSurfaces.map((surface) => ({ surface, driver: undefined }));
  return Map.groupBy([...providerEndpoints, ...own], ({ surface }) => surface.path);
}

function neverReached(): never {
  throw new Error('a request passed the first hook');
}
