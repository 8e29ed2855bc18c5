import { beforeEach, describe, expect, it } from 'vitest';
import type { Revocation } from '../../core/revocation.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { keyRecord } from '../../test/fake/snapshot.ts';
import { makeRevocations, type Revocations } from './revocations.ts';

const minute = 60_000;
let nowMs = 0;
let records: Map<string, KeyRecord>;
let revocations: Revocations;
let changed: string[];

beforeEach(() => {
  nowMs = 1_000_000;
  records = new Map([['default/app', keyRecord('app', { gen: 5 })]]);
  const metrics = makeMetrics();
  metrics.close();
  revocations = makeRevocations({ now: () => nowMs, recordOf: (id) => records.get(id), metrics, mostUnknown: 10 });
  changed = [];
  revocations.onChange((keyId) => void changed.push(keyId));
});

const of = (changes: Partial<Revocation> = {}): Revocation => ({
  keyId: 'default/app',
  uid: 'uid-of-app',
  gen: 6,
  state: 'Revoked',
  ended: [],
  ...changes,
});
const says = (id = 'default/app', credential = 'aaaaaaaaaaaa') => {
  const { uid, gen } = records.get(id) ?? keyRecord(id.slice(8));
  return revocations.overruling({ id, uid, gen }, credential);
};
/** Later than anything is kept for its own sake, with the snapshot as it is. */
function forgetAfter(ms: number): void {
  nowMs += ms;
  revocations.forget();
}

describe('revocations held by a proxy', () => {
  it('overrule the record of the same object until the snapshot says it itself', () => {
    expect(says()).toBeUndefined();
    revocations.take(of());
    expect([says(), changed]).toEqual(['Revoked', ['default/app']]);
    forgetAfter(24 * 60 * minute);
    expect([says(), revocations.size]).toEqual(['Revoked', 1]);
    records.set('default/app', keyRecord('app', { gen: 6, state: 'Revoked' }));
    forgetAfter(0);
    expect(revocations.size).toBe(0);
  });

  it('come together: an older one, or one of another object, takes nothing back', () => {
    revocations.take(of({ gen: 7, state: 'Suspended' }));
    revocations.take(of({ gen: 6, state: 'Active', ended: ['bbbbbbbbbbbb'] }));
    expect([says(), says('default/app', 'bbbbbbbbbbbb')]).toEqual(['Suspended', 'CredentialEnded']);
    revocations.take(of({ uid: 'another', gen: 99, state: 'Deleted' }));
    expect(says()).toBe('Suspended');
    revocations.take(of({ gen: 8, state: 'Active' }));
    expect([says(), says('default/app', 'bbbbbbbbbbbb')]).toEqual([undefined, 'CredentialEnded']);
  });

  it('a final one is told before a suspension of the same name', () => {
    revocations.take(of({ gen: 7, state: 'Suspended' }));
    revocations.take(of({ uid: '*', gen: 0 }));
    expect(says()).toBe('Revoked');
    revocations.take(of({ gen: 8, state: 'Suspended' }));
    expect(says()).toBe('Revoked');
  });

  it('wait for a key that the snapshot does not know yet', () => {
    revocations.take(of({ keyId: 'default/late', uid: 'uid-of-late' }));
    forgetAfter(9 * minute);
    records.set('default/late', keyRecord('late', { gen: 1 }));
    forgetAfter(24 * 60 * minute);
    expect(says('default/late')).toBe('Revoked');
    revocations.take(of({ keyId: 'default/never', uid: 'uid-of-never' }));
    forgetAfter(11 * minute);
    expect(revocations.size).toBe(1);
  });

  it('of unknown keys are bounded, and push out none of a known key', () => {
    revocations.take(of());
    for (let number = 0; number < 1_000; number += 1) revocations.take(of({ keyId: `default/none-${number}` }));
    expect([revocations.size, says()]).toEqual([11, 'Revoked']);
    for (let number = 0; number < 1_000; number += 1) revocations.take(of({ uid: `former-${number}`, state: 'Deleted' }));
    expect(says()).toBe('Revoked');
  });
});
