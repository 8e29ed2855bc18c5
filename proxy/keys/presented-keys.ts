import { keyHeaders, type RawHeaders } from '../headers.ts';

/**
 * Every place a virtual key may stand in: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key`, `api-key`, and `key=` in the query. Gives the different keys
 * found, usually one. Empty values count as absent, as does an `Authorization` of another scheme (it is not forwarded either).
 */
export function readPresentedKeys(headers: RawHeaders, query: string): readonly string[] {
  const keys: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = (headers[index] as string).toLowerCase();
    if (!keyHeaders.has(name)) continue;
    const value = (headers[index + 1] as string).trim();
    addKey(keys, name === 'authorization' ? readBearer(value) : value);
  }
  if (query !== '') for (const value of new URLSearchParams(query).getAll('key')) addKey(keys, value.trim());
  return keys;
}

function addKey(keys: string[], key: string): void {
  if (key !== '' && !keys.includes(key)) keys.push(key);
}

/** RFC 6750 section 2.1; the scheme is case-insensitive (RFC 9110 section 11.1). */
function readBearer(value: string): string {
  return /^bearer +(\S.*)$/i.exec(value)?.[1] ?? '';
}
