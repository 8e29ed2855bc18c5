import { describe, expect, it } from 'vitest';
import type { VirtualKey, VirtualKeySpec } from '../../core/resources.ts';
import type { Revocation } from '../../core/revocation.ts';
import { Secret } from '../../core/secret.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import { isContradicted, toEndedCredentials, toRevocations } from './revocation.ts';

const hash = 'a'.repeat(64);
const record: CredentialRecord = {
  schema: 1,
  keyId: 'team/app',
  uid: 'one',
  gen: 5,
  credentials: [{ hash, prefix: '', state: 'Active', createdAt: 1 }],
  revokedHashes: [],
  suspended: false,
};
const key = (spec: VirtualKeySpec = {}, uid = 'one'): VirtualKey => ({
  apiVersion: 'keywright.dev/v1alpha1',
  kind: 'VirtualKey',
  metadata: { namespace: 'team', name: 'app', uid },
  spec,
});
const entry = (changes: Partial<Revocation> = {}): Revocation => ({
  keyId: 'team/app',
  uid: 'one',
  gen: 6,
  state: 'Suspended',
  ended: [],
  ...changes,
});
const input = {
  virtualKey: key(),
  isGone: false,
  known: record as CredentialRecord | 'invalid' | undefined,
  standing: [] as Revocation[],
  mayLift: false,
  installationSecret: new Secret('x'.repeat(32)),
};

describe('what a replica tells', () => {
  it.each([
    ['nothing of a key as it is recorded', {}, []],
    ['nothing of a key that nobody has recorded', { known: undefined, virtualKey: key({ revoked: true }) }, []],
    ['a suspension', { virtualKey: key({ suspended: true }) }, [entry()]],
    ['a revocation', { virtualKey: key({ revoked: true }) }, [entry({ state: 'Revoked' })]],
    ['an end', { isGone: true }, [entry({ state: 'Deleted' })]],
    ['the end of the former object', { virtualKey: key({}, 'two') }, [entry({ state: 'Deleted' })]],
    ['nothing twice', { virtualKey: key({ suspended: true }), standing: [entry()] }, []],
    [
      'of a damaged record what is final',
      { known: 'invalid', virtualKey: key({ revoked: true, suspended: true }) },
      [entry({ gen: 0, state: 'Revoked' })],
    ],
    ['of a damaged record nothing else', { known: 'invalid', virtualKey: key({ suspended: true }) }, []],
    ['by an old view nothing that lifts', { standing: [entry()] }, []],
    [
      'by a view that is known to be new, that a suspension is over',
      { standing: [entry()], mayLift: true },
      [entry({ gen: 7, state: 'Active' })],
    ],
    [
      'that a suspension is over also where Redis has forgotten it',
      { known: { ...record, suspended: true }, mayLift: true },
      [entry({ gen: 6, state: 'Active' })],
    ],
  ] as const)('%s', (_, changes, wanted) => {
    expect(toRevocations({ ...input, ...(changes as Partial<typeof input>) })).toEqual(wanted);
  });

  it('asks the API server where what stands may be newer than its view', () => {
    expect(isContradicted(key(), record, [entry()])).toBe(true);
    expect(isContradicted(key({ suspended: true }), record, [entry()])).toBe(false);
    expect(isContradicted(key(), { ...record, gen: 7 }, [entry()])).toBe(false);
    expect(isContradicted(key(), record, [entry({ uid: 'two' })])).toBe(false);
  });

  it('names the credentials that were good and are gone', () => {
    const credential = (id: string, changes = {}) => ({ id, hash, prefix: '', state: 'Active' as const, ...changes });
    const base = { id: 'team/app', uid: 'one', generation: 1, gen: 5, state: 'Active' as const, access: {} };
    const before = {
      ...base,
      credentials: [
        credential('a'),
        credential('b'),
        credential('c', { notAfter: 50 }),
        credential('d', { state: 'Pending' as const, notAfter: 500 }),
      ],
    };
    expect(toEndedCredentials(before, { ...base, credentials: [credential('b')] }, 100)).toEqual(['a']);
    expect(toEndedCredentials(before, undefined, 100)).toEqual(['a', 'b']);
    expect(toEndedCredentials(undefined, before, 100)).toEqual([]);
  });
});
