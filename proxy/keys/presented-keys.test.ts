import { expect, it } from 'vitest';
import { readPresentedKeys } from './presented-keys.ts';

it.each([
  ['Authorization', ['Authorization', 'Bearer a'], '', ['a']],
  ['a lower-case scheme', ['authorization', 'bearer  a'], '', ['a']],
  ['x-api-key', ['X-Api-Key', ' a '], '', ['a']],
  ['x-goog-api-key', ['x-goog-api-key', 'a'], '', ['a']],
  ['api-key', ['API-Key', 'a'], '', ['a']],
  ['the query', [], 'x=1&key=a', ['a']],
  ['an encoded name in the query', [], 'ke%79=a&key=b', ['a', 'b']],
  ['the same key twice', ['authorization', 'Bearer a', 'x-api-key', 'a'], 'key=a', ['a']],
  ['two keys', ['authorization', 'Bearer a', 'x-api-key', 'b'], '', ['a', 'b']],
  ['one header twice', ['authorization', 'Bearer a', 'Authorization', 'Bearer b'], '', ['a', 'b']],
  ['empty values', ['authorization', 'Bearer ', 'x-api-key', ''], 'key=', []],
  ['another scheme', ['authorization', 'Basic a'], '', []],
  ['none', ['accept', 'a'], 'monkey=a', []],
])('reads a key from %s', (_name, headers, query, expected) => {
  expect(readPresentedKeys(headers, query)).toEqual(expected);
});
