import { expect, it } from 'vitest';
import type { VirtualKey, VirtualKeySpec } from '../../core/resources.ts';
import { isEndedByEdit } from './ended-by-edit.ts';

const key = (spec: VirtualKeySpec, metadata: object = {}): VirtualKey => ({
  apiVersion: 'keywright.dev/v1alpha1',
  kind: 'VirtualKey',
  metadata: { name: 'k', namespace: 'a', ...metadata },
  spec,
});
const hashes = (...names: string[]): VirtualKeySpec => ({ credential: { hashes: names.map((hash) => ({ hash })) } });

it.each<[string, VirtualKey | undefined, VirtualKey, boolean]>([
  ['a new key', undefined, key({ revoked: true }), false],
  ['another description', key({ description: 'a' }), key({ description: 'b' }), false],
  ['revoked', key({}), key({ revoked: true }), true],
  ['revoked while it was suspended', key({ suspended: true }), key({ revoked: true, suspended: true }), true],
  ['edited after it was revoked', key({ revoked: true }), key({ revoked: true, description: 'b' }), false],
  ['suspended', key({}), key({ suspended: true }), true],
  ['resumed', key({ suspended: true }), key({ suspended: false }), false],
  ['on its way out', key({}), key({}, { deletionTimestamp: '2026-01-01T00:00:00Z' }), true],
  ['one more hash', key(hashes('one')), key(hashes('one', 'two')), false],
  ['one hash less', key(hashes('one', 'two')), key(hashes('two')), true],
  ['no hashes any more', key(hashes('one')), key({}), true],
])('%s', (_, before, after, expected) => {
  expect(isEndedByEdit(before, after)).toBe(expected);
});
