import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anyObject,
  isSameRevocation,
  isSuperseded,
  mergeRevocations,
  overruling,
  parseRevocation,
  parseRevocationMessage,
  type Revocation,
  toRevocationField,
  toRevocationValue,
} from './revocation.ts';

const a = 'aaaaaaaaaaaa';
const b = 'bbbbbbbbbbbb';

const revocation = (changes: Partial<Revocation> = {}): Revocation => ({
  keyId: 'team/app',
  uid: 'one',
  gen: 5,
  state: 'Active',
  ended: [],
  ...changes,
});

const arbitrary: fc.Arbitrary<Revocation> = fc
  .record({
    gen: fc.integer({ min: 0, max: 6 }),
    state: fc.constantFrom('Active' as const, 'Suspended' as const, 'Revoked' as const, 'Deleted' as const),
    ended: fc.subarray([a, b, 'cccccccccccc']),
  })
  // a final one carries no credentials, wherever it is made
  .map(({ gen, state, ended }) => revocation({ gen, state, ended: state === 'Revoked' || state === 'Deleted' ? [] : ended }));

/** Everything that a record could be told. */
const records = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((gen) => [a, b].map((credential) => ({ gen, credential })));
const severity = { none: 0, Suspended: 1, CredentialEnded: 2, Revoked: 3, Deleted: 4 } as const;
const harm = (entry: Revocation, { gen, credential }: { gen: number; credential: string }) =>
  severity[overruling(entry, { uid: 'one', gen }, credential) ?? 'none'];

describe('merging revocations', () => {
  it('does not depend on order or repetition', () => {
    fc.assert(
      fc.property(arbitrary, arbitrary, arbitrary, (left, middle, right) => {
        expect(mergeRevocations(left, right)).toEqual(mergeRevocations(right, left));
        expect(mergeRevocations(left, left)).toEqual(left);
        expect(mergeRevocations(mergeRevocations(left, middle), right)).toEqual(mergeRevocations(left, mergeRevocations(middle, right)));
      }),
    );
  });

  it('never takes back a revocation, a deletion, an ended credential, or a higher gen', () => {
    fc.assert(
      fc.property(arbitrary, arbitrary, (left, right) => {
        const merged = mergeRevocations(left, right);
        expect(merged.gen).toBe(Math.max(left.gen, right.gen));
        for (const record of records) {
          for (const part of [left, right]) {
            // a suspension may be lifted, and only by a higher gen
            if (overruling(part, { uid: 'one', gen: record.gen }, record.credential) === 'Suspended' && part.gen < merged.gen) continue;
            expect(harm(merged, record)).toBeGreaterThanOrEqual(harm(part, record));
          }
        }
      }),
    );
  });

  it('a suspension is lifted by a higher gen and by no other', () => {
    const suspended = revocation({ gen: 5, state: 'Suspended' });
    expect(mergeRevocations(suspended, revocation({ gen: 6, state: 'Active' })).state).toBe('Active');
    expect(mergeRevocations(suspended, revocation({ gen: 5, state: 'Active' })).state).toBe('Suspended');
    expect(mergeRevocations(suspended, revocation({ gen: 4, state: 'Active' })).state).toBe('Suspended');
  });

  it('a final one stays, whatever the gen of the other', () => {
    expect(mergeRevocations(revocation({ gen: 1, state: 'Revoked' }), revocation({ gen: 9, state: 'Active', ended: [a] }))).toEqual(
      revocation({ gen: 9, state: 'Revoked' }),
    );
    expect(() => mergeRevocations(revocation(), revocation({ uid: 'two' }))).toThrow(TypeError);
  });
});

describe('a revocation overrules', () => {
  const record = { uid: 'one', gen: 5 };

  it.each([
    ['a record of the same object, however new', revocation({ gen: 1, state: 'Revoked' }), record, 'Revoked'],
    ['a record of an object that was deleted', revocation({ gen: 1, state: 'Deleted' }), record, 'Deleted'],
    ['an older record by a suspension', revocation({ gen: 6, state: 'Suspended' }), record, 'Suspended'],
    ['no record that knows of the suspension', revocation({ gen: 5, state: 'Suspended' }), record, undefined],
    ['a credential that has ended', revocation({ gen: 1, ended: [a] }), record, 'CredentialEnded'],
    ['no other credential', revocation({ gen: 9, ended: [b] }), record, undefined],
    ['no other object', revocation({ uid: 'two', gen: 9, state: 'Revoked' }), record, undefined],
    ['whichever object has the name, if it says so', revocation({ uid: anyObject, gen: 0, state: 'Revoked' }), record, 'Revoked'],
    ['nothing by being Active', revocation({ gen: 9 }), record, undefined],
  ] as const)('%s', (_, entry, target, wanted) => {
    expect(overruling(entry, target, a)).toBe(wanted);
  });
});

describe('a revocation is superseded', () => {
  const record = { uid: 'one', gen: 5, state: 'Active', credentials: [{ id: a }] } as unknown as Parameters<typeof isSuperseded>[1] &
    object;

  it.each([
    ['by a key that is gone', revocation({ state: 'Revoked' }), undefined, true],
    ['by another object', revocation({ state: 'Deleted', uid: 'two' }), record, true],
    ['not by any record of a deleted object', revocation({ state: 'Deleted' }), { ...record, gen: 99 }, false],
    ['by a record that is revoked', revocation({ state: 'Revoked', gen: 9 }), { ...record, state: 'Revoked' as const }, true],
    ['not by a record that is not, however new', revocation({ state: 'Revoked' }), { ...record, gen: 99 }, false],
    ['break-glass: not by a record that is not revoked', revocation({ uid: anyObject, gen: 0, state: 'Revoked' }), record, false],
    ['by a record with its gen', revocation({ state: 'Suspended' }), record, true],
    ['not by an older record', revocation({ state: 'Suspended', gen: 6 }), record, false],
    ['not while the credential is still there', revocation({ ended: [a] }), record, false],
    ['when the credential is gone', revocation({ ended: [b] }), record, true],
  ] as const)('%s', (_, entry, target, wanted) => {
    expect(isSuperseded(entry, target)).toBe(wanted);
  });

  it('only when it would overrule nothing more', () => {
    fc.assert(
      fc.property(arbitrary, fc.integer({ min: 0, max: 7 }), (entry, gen) => {
        if (!isSuperseded(entry, { ...record, gen })) return;
        expect(overruling(entry, { uid: 'one', gen }, a)).toBeUndefined();
      }),
    );
  });
});

describe('revocations as text', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(arbitrary, (entry) => {
        const [field, value] = [toRevocationField(entry), toRevocationValue(entry)];
        expect(parseRevocation(field, value)).toEqual(entry);
        expect(parseRevocationMessage(`${field} ${value}`)).toEqual(entry);
        expect(isSameRevocation(entry, { ...entry, gen: entry.gen + 1 })).toBe(false);
      }),
    );
  });

  it.each([
    ['team/app one', '5'],
    ['team/app one', '-5 Revoked'],
    ['team/app one', '5 revoked'],
    ['team/app one', `5 Active ${a},`],
    ['team/app one', `5 Active ${Array.from({ length: 65 }, () => a).join()}`],
    ['team/app', '5 Revoked'],
    ['app one', '5 Revoked'],
    ['team/app *', '5 Suspended'],
    ['team/app *', '5 Active'],
    [`team/app ${'x'.repeat(65)}`, '5 Revoked'],
  ])('what nobody writes is not read: %s = %s', (field, value) => {
    expect(parseRevocation(field, value)).toBeUndefined();
    expect(parseRevocationMessage(`${field} ${value}`)).toBeUndefined();
  });
});
