/**
 * Headers for browsers on the origins that the installation lists; none for any other origin. SDKs read many headers of an answer (`x-should-retry`, rate limits), which a browser shows them
 * only where it is told so. Fetch standard, section 3.2.
 */
export function toCorsHeaders(origin: string | undefined, allowed: readonly string[]): string[] {
  if (origin === undefined || !(allowed.includes(origin) || allowed.includes('*'))) return [];
  return ['access-control-allow-origin', origin, 'vary', 'origin', 'access-control-expose-headers', '*'];
}

/** What a preflight is told on top. `requested` is its Access-Control-Request-Headers. */
export function toPreflightHeaders(allow: string, requested: string | undefined): string[] {
  return [
    'access-control-allow-methods',
    allow,
    'access-control-allow-headers',
    requested ?? 'authorization, content-type',
    'access-control-max-age',
    '600',
  ];
}
