import { golden } from './named-tests.ts';
import type { Mutation } from './plant.ts';

export const revocationMutations: readonly Mutation[] = [
  // Revoking
  {
    id: 'revocation-undone',
    bug: 'a revoked key whose `revoked` is set back to false comes alive again',
    edits: [
      {
        file: 'operator/translate/lifecycle.ts',
        find: 'if (record.revokedAt !== undefined || (virtualKey',
        replace:
          'const { revokedAt, ...alive } = record;\n  if (revokedAt !== undefined && virtualKey.spec.revoked !== true) return { ...life, record: alive };\n  if (record.revokedAt !== undefined || (virtualKey',
      },
      // the snapshot remembers a revocation too
      { file: 'operator/translate/lifecycle.ts', find: "published.state === 'Revoked'", replace: 'false' },
    ],
    test: { file: 'operator/operator.test.ts', name: 'ends > revokes at once, for ever, and takes the plaintext out of the Secret' },
  },
  {
    id: 'revocation-restored-away',
    bug: 'a key is alive again when its hashed Secret comes back from a backup',
    edits: [{ file: 'operator/translate/lifecycle.ts', find: "published.state === 'Revoked'", replace: 'false' }],
    test: { file: 'operator/operator.test.ts', name: 'ends > stays revoked when the hashed Secret comes back from an older backup' },
  },
  {
    id: 'hash-taken-again',
    bug: 'a hash that was taken out of a key is accepted again when somebody writes it back',
    edits: [
      {
        file: 'operator/translate/claim.ts',
        find: 'if (claims.isRevoked(hash) || record.revokedHashes.includes(hash))',
        replace: 'if (false)',
      },
    ],
    test: {
      file: 'operator/reconcile.test.ts',
      name: 'brought hashes > are in force as written, and out of force at once when they are taken out',
    },
  },
  {
    id: 'expiry-not-published',
    bug: 'the proxies are not told when a key expires',
    edits: [{ file: 'operator/translate/key-record.ts', find: 'expiresAt: toExpiry(virtualKey),', replace: '' }],
    test: { file: 'operator/operator.test.ts', name: 'ends > reports expiry by itself and publishes the time beforehand' },
  },

  // Revocation
  {
    id: 'revocation-taken-back',
    bug: 'a later revocation of the same key replaces what is final',
    edits: [
      {
        file: 'core/revocation.ts',
        find: 'left.gen === right.gen || isFinal(left.state) || isFinal(right.state)',
        replace: 'left.gen === right.gen',
      },
    ],
    test: {
      file: 'core/revocation.test.ts',
      name: 'merging revocations > never takes back a revocation, a deletion, an ended credential, or a higher gen',
    },
  },
  {
    id: 'revocation-forgotten',
    bug: 'a proxy lets go of a revocation although its snapshot does not say it yet',
    edits: [
      {
        file: 'proxy/keys/revocations.ts',
        find: 'nowMs - seenMs < keepMs || !isSuperseded(revocation, record)',
        replace: 'nowMs - seenMs < keepMs',
      },
    ],
    test: {
      file: 'proxy/keys/revocations.test.ts',
      name: 'revocations held by a proxy > overrule the record of the same object until the snapshot says it itself',
    },
  },
  {
    id: 'standby-silent',
    bug: 'only the leader tells of revocations',
    edits: [
      {
        file: 'operator/operator.ts',
        find: 'onVirtualKey: (event) => this.#revoking.see(event)',
        replace: 'onVirtualKey: (event) => void (this.#term && this.#revoking.see(event))',
      },
    ],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'every replica > tells at once that a key was revoked, with nobody leading',
    },
  },
  {
    id: 'short-list-revokes',
    bug: 'a key that a list merely lacks is told as deleted',
    edits: [{ file: 'operator/revocation/revocation-watch.ts', find: "if (event.type === 'Deleted' && !event.seen) return;", replace: '' }],
    test: { file: 'operator/revocation/revocations.test.ts', name: 'every replica > tells nothing of a key that a false empty list lacks' },
  },
  {
    id: 'flicker-for-ever',
    bug: 'a suspension that another replica saw for a moment is never lifted',
    edits: [
      {
        file: 'operator/translate/lifecycle.ts',
        find: "return (highest.state === 'Suspended') === suspended ? highest.gen : highest.gen + 1;",
        replace: 'return record.gen;',
      },
    ],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'the leader > lifts a suspension that only another replica has seen: it is over already',
    },
  },
  {
    id: 'old-view-lifts',
    bug: 'a replica whose view is old takes back a suspension that somebody else has told',
    edits: [
      { file: 'operator/translate/revocation.ts', find: "state === 'Active' && !mayLift ? known.gen : record.gen", replace: 'record.gen' },
    ],
    test: { file: 'operator/translate/revocation.test.ts', name: 'what a replica tells > by an old view nothing that lifts' },
  },
  {
    id: 'break-glass-hits-next',
    bug: 'a revocation for a name stays, and ends the next key of that name',
    edits: [
      {
        file: 'operator/revocation/revocation-keeper.ts',
        find: 'toConcrete(revocation);',
        replace: 'if (revocation.uid === anyObject) continue;',
      },
    ],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'the leader > makes of a break-glass revocation one for ever, and keeps it off the next key of that name',
    },
  },
  {
    id: 'swept-before-settled',
    bug: 'a revocation leaves Redis although a living proxy has not the snapshot that says it',
    edits: [
      { file: 'operator/revocation/revocation-keeper.ts', find: "settlement === 'unknown' ? unknownMs : Infinity", replace: 'unknownMs' },
    ],
    test: {
      file: 'operator/revocation/revocations.test.ts',
      name: 'the leader > leaves in Redis what a living proxy still needs, however long',
    },
  },
  {
    id: 'admission-not-asked',
    bug: 'an admission passes over what stands in Redis',
    edits: [
      {
        file: 'proxy/counters/scripts/admit.lua',
        find: 'if overrules(stands[1], request) or overrules(stands[2], request) then return',
        replace: 'if false then return',
      },
    ],
    test: {
      file: 'test/redis/admission-check.test.ts',
      name: 'an admission in Redis > is refused by what stands there, although nobody has told the proxy, and reserves nothing',
    },
  },
  {
    id: 'delivered-before-all',
    bug: 'a new key is delivered although a living proxy does not have it yet',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: "return settlement === 'waiting' ? Math.max(settleMs, longestSettleMs) : settleMs;",
        replace: 'return settleMs;',
      },
    ],
    test: {
      file: 'operator/revocation/settling.test.ts',
      name: 'a new key is delivered > as soon as every living proxy says that it has it, and not before',
    },
  },
  {
    id: 'revoked-and-unknown',
    bug: 'a key that comes as revoked is unknown, so that its hash may come in again with another one',
    edits: [
      {
        file: 'operator/translate/key.ts',
        find: 'record.credentials.length > 0 ? record.credentials : takeWritten(input, record, nowMs)',
        replace: 'record.credentials',
      },
    ],
    test: golden('revoked-from-the-start-1.in.yaml'),
  },
  {
    id: 'barred-again-and-again',
    bug: 'a hash that is filed among the revoked ones is barred with every look at its key, and so written without end',
    edits: [{ file: 'operator/translate/key.ts', find: '!claims.isRevoked(hash) && !record', replace: '!record' }],
    test: golden('revoked-from-the-start-2.in.yaml'),
  },
];
