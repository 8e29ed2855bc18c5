import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { CredentialRecord } from './hashed-secret.ts';
import { parseHashedSecret, toHashedSecret, toHashedSecretName } from './hashed-secret.ts';

const record: CredentialRecord = {
  schema: 1,
  keyId: 'team/a',
  uid: 'uid',
  gen: 3,
  credentials: [{ hash: 'a'.repeat(64), prefix: '', state: 'Pending', attempt: 'x', until: 5, createdAt: 1 }],
  revokedHashes: ['b'.repeat(64)],
  suspended: false,
  revokedAt: 7,
};

it('reads back what it writes', () => {
  expect(parseHashedSecret(toHashedSecret(record, 'system'))).toEqual(record);
});

it('is no record when anything in it is not as written', () => {
  const damage: [string, unknown][] = [
    ['schema', 2],
    ['keyId', 'team/b'],
    ['gen', '3'],
    ['suspended', undefined],
    ['credentials', [{ ...record.credentials[0], hash: 'A' }]],
    ['credentials', [{ ...record.credentials[0], until: undefined }]],
    ['revokedHashes', ['x']],
    ['revokedAt', 'yesterday'],
  ];
  const { metadata } = toHashedSecret(record, 'system');
  const read = damage.filter(
    ([field, value]) => parseHashedSecret({ ...toHashedSecret({ ...record, [field]: value }, 'system'), metadata }) !== undefined,
  );
  expect(read).toEqual([]);
});

it('gives every key id a valid name of its own', () => {
  expect(toHashedSecretName('a-b/c')).not.toBe(toHashedSecretName('a/b-c'));
  const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
  const name = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.').slice(0, 200));
  fc.assert(
    fc.property(label, name, (namespace, key) => {
      const made = toHashedSecretName(`${namespace}/${key}`);
      expect(made).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
      expect(made.length).toBeLessThanOrEqual(253);
    }),
  );
});
