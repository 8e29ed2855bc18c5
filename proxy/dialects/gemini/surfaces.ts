import type { Surface } from '../dialect.ts';

/** Both versions of the API, each also under the name of the dialect. */
const roots = [
  ['/v1beta', '/v1beta'],
  ['/v1', '/v1'],
  ['/gemini/v1beta', '/v1beta'],
  ['/gemini/v1', '/v1'],
] as const;

/** One call of the API at all its paths. */
export function toSurfaces(verb: string, kind: Pick<Surface, 'name' | 'scope' | 'operation' | 'metered'> & Partial<Surface>): Surface[] {
  return roots.map(([root, upstreamRoot]) => ({
    dialect: 'Gemini',
    method: 'POST',
    path: `${root}/models/:model`,
    verb,
    upstreamPath: `${upstreamRoot}/models/{model}:${verb}`,
    body: 'json',
    allowedQuery: [],
    ...kind,
  }));
}
