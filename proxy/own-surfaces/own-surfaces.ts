import type { Surface } from '../dialects/dialect.ts';

/** Paths of the gateway itself: no provider has them. Answers are Keywright's own; refusals come in the dialect that the request speaks. */
export const ownSurfaces: readonly Surface[] = [
  {
    name: 'key_self',
    method: 'GET',
    path: '/v1/keys/self',
    dialect: 'OpenAI',
    scope: 'read',
    operation: 'key',
    upstreamPath: '',
    body: 'none',
    metered: false,
    allowedQuery: [],
  },
];
