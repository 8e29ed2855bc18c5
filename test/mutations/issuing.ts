import { golden, interleavings } from './named-tests.ts';
import type { Mutation } from './plant.ts';

export const issuingMutations: readonly Mutation[] = [
  // Issuing
  {
    id: 'deliver-before-publish',
    bug: 'the delivery Secret is written before the hash is published: its reader is refused',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: '|| !isPublished) return {};',
        replace:
          "|| !isPublished) return { delivery: { mode: delivery === undefined ? 'create' : 'replace', keyHash: pending.hash, layout } };",
      },
    ],
    test: {
      file: 'operator/operator.test.ts',
      name: 'a generated key > is published, and stays so for the settle time, before anybody can read it',
    },
  },
  {
    id: 'settle-time-skipped',
    bug: 'the delivery Secret is written before every proxy can have the hash',
    edits: [{ file: 'operator/translate/generate.ts', find: 'if (nowMs < settledMs) return', replace: 'if (false) return' }],
    test: {
      file: 'operator/operator.test.ts',
      name: 'a generated key > is published, and stays so for the settle time, before anybody can read it',
    },
  },
  {
    id: 'planted-value-adopted',
    bug: 'a value that somebody puts into the delivery Secret becomes a key',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'const current = endOverdue(record.credentials, nowMs, toHeldHash(input.delivery, layout, record.credentials));',
        replace:
          "const seen = Object.values(input.delivery?.entries ?? {}).slice(0, 1).filter((hash) => !record.credentials.some((known) => known.hash === hash)).map((hash) => ({ hash, prefix: '', state: 'Pending' as const, createdAt: nowMs, until: nowMs + pendingMs }));\n  const current = endOverdue([...record.credentials, ...seen], nowMs, undefined);",
      },
    ],
    test: {
      file: 'operator/operator.test.ts',
      name: 'a generated key > never takes over a planted Secret: the value is not accepted and a new key is issued',
    },
  },
  {
    id: 'planted-secret-adopted',
    bug: 'a Secret that was there before, and is nobody’s, is taken for our own',
    edits: [
      {
        file: 'operator/credentials/delivery-secret.ts',
        find: "if (owner === undefined || owner.kind !== 'VirtualKey'",
        replace: "if (owner === undefined) return 'this';\n  if (owner.kind !== 'VirtualKey'",
      },
    ],
    test: {
      file: 'operator/operator.test.ts',
      name: 'a generated key > does not adopt a Secret that was there before, whoever it claims to belong to',
    },
  },
  {
    id: 'foreign-pending-removed',
    bug: 'an operator removes the unexpired attempt of another one, which may have been delivered by now',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'credentials: [...credentials, toPending(step)]',
        replace: "credentials: [...credentials.filter(({ state }) => state !== 'Pending'), toPending(step)]",
      },
    ],
    test: golden('generate-foreign-pending.in.yaml'),
  },
  {
    id: 'trigger-forgotten',
    bug: 'a trigger that comes during an unfinished rotation counts as handled by it',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'handledTrigger: delivered.trigger,',
        replace: 'handledTrigger: input.virtualKey.spec.rotation?.trigger,',
      },
    ],
    test: golden('rotate-4-adopt.in.yaml'),
  },
  {
    id: 'three-live-keys',
    bug: 'a rotation inside an overlap leaves the oldest key alive',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'return replaced === undefined ? credential : [];',
        replace: 'return credential;',
      },
    ],
    test: golden('rotate-4-adopt.in.yaml'),
  },
  {
    id: 'removal-rotates',
    bug: 'a trigger that is taken out of the manifest rotates the key',
    edits: [
      {
        file: 'operator/translate/rotation.ts',
        find: 'trigger !== undefined && trigger !== record.handledTrigger',
        replace: 'trigger !== record.handledTrigger',
      },
    ],
    test: golden('rotate-trigger-removed.in.yaml'),
  },
  {
    id: 'redacted-is-tampered',
    bug: 'that the plaintext was taken out is not remembered, so the emptied Secret counts as tampered and a new key is minted',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: "credentials.find(({ state, redactedAt }) => state === 'Active' && redactedAt !== undefined)",
        replace: 'undefined',
      },
    ],
    test: {
      file: 'operator/rotation.test.ts',
      name: 'redactAfter > takes the plaintext out so long after it was written, mints nothing, and tells it once',
    },
  },
  {
    id: 'hash-leaves-unfiled',
    bug: 'a revoked hash leaves its record before it is stored among those of all keys',
    edits: [
      {
        file: 'operator/translate/lifecycle.ts',
        find: 'const kept = record.revokedHashes.filter((hash) => !claims.isFiled(hash));',
        replace: 'const kept: string[] = [];',
      },
    ],
    test: {
      file: 'operator/credentials/revoked-hashes.test.ts',
      name: 'revoked hashes > that a stopped filing left behind are filed by the next operator, none is lost at any write',
    },
  },
  {
    id: 'shard-shrinks',
    bug: 'a shard of revoked hashes that somebody has emptied is believed',
    edits: [
      {
        file: 'operator/credentials/revoked-hashes.ts',
        find: 'const before = this.#shards.get(shard.number)?.hashes ?? none;',
        replace: 'const before = none;',
      },
    ],
    test: {
      file: 'operator/credentials/revoked-hashes.test.ts',
      name: 'revoked hashes > are written again when their Secret is removed, emptied or set back while an operator runs',
    },
  },
  {
    id: 'lost-shard-empty',
    bug: 'a missing shard of revoked hashes counts as an empty one',
    edits: [
      {
        file: 'operator/credentials/revoked-hashes.ts',
        find: 'if (!this.#synced || this.#shards.has(number)) return false;',
        replace: 'if (this.#synced) return false;',
      },
    ],
    test: {
      file: 'operator/credentials/revoked-hashes.test.ts',
      name: 'revoked hashes > whose Secret was lost while nobody looked are told, nothing is taken anew, and what was accepted goes on',
    },
  },
  {
    id: 'foreign-hash-barred',
    bug: 'a key that has only written down the hash of another one bars it by being revoked',
    edits: [
      {
        file: 'operator/translate/lifecycle.ts',
        find: 'const own = record.credentials.filter(({ hash }) => claims === undefined || isFirstOwner(claims, record, hash));',
        replace: 'const own = record.credentials;',
      },
    ],
    test: { file: 'operator/credentials/revoked-hashes.test.ts', name: 'revoked hashes > are barred only by the key that owned them' },
  },
  {
    id: 'tombstone-forgets-generation',
    bug: 'a key that is made anew after its tombstone has gone begins at the first generation',
    edits: [
      {
        file: 'operator/housekeeping.ts',
        find: 'await revoked.raiseFirstGeneration(Math.max(0, ...removable.map(({ gen }) => gen)));',
        replace: '',
      },
    ],
    test: {
      file: 'operator/credentials/revoked-hashes.test.ts',
      name: 'a tombstone > stays for its time and goes when its hashes are filed; the name begins above it, and nothing of it is accepted',
    },
  },
  {
    id: 'tombstone-takes-hashes',
    bug: 'a tombstone goes before its revoked hashes are filed',
    edits: [
      {
        file: 'operator/housekeeping.ts',
        find: 'overdue.filter(({ revokedHashes }) => revokedHashes.every((hash) => revoked.isFiled(hash)))',
        replace: 'overdue',
      },
    ],
    test: { file: 'operator/credentials/revoked-hashes.test.ts', name: 'a tombstone > does not go while its hashes cannot be filed' },
  },
  {
    id: 'interleaved-publish-after-deliver',
    bug: 'a key is delivered before it is published',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'if (published?.atMs === undefined || !isPublished) return {};',
        replace:
          "if (published?.atMs === undefined || !isPublished) return { delivery: { mode: delivery === undefined ? 'create' : 'replace', keyHash: pending.hash, layout } };",
      },
    ],
    test: interleavings,
  },
  {
    id: 'interleaved-planted-adopted',
    bug: 'a planted value becomes a key',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'const current = endOverdue(record.credentials, nowMs, toHeldHash(input.delivery, layout, record.credentials));',
        replace:
          "const seen = Object.values(input.delivery?.entries ?? {}).slice(0, 1).filter((hash) => !record.credentials.some((known) => known.hash === hash)).map((hash) => ({ hash, prefix: '', state: 'Pending' as const, createdAt: nowMs, until: nowMs + pendingMs })); const current = endOverdue([...record.credentials, ...seen], nowMs, undefined);",
      },
    ],
    test: interleavings,
  },
  {
    id: 'interleaved-foreign-pending-dropped',
    bug: 'a successor drops what somebody else may have delivered by now',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'credentials: [...credentials, toPending(step)]',
        replace: "credentials: [...credentials.filter(({ state }) => state !== 'Pending'), toPending(step)]",
      },
    ],
    test: interleavings,
  },
  {
    id: 'interleaved-overlap-cut',
    bug: 'a rotated key ends at once',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'if (credential === replaced) return endsAtOnce ? [] :',
        replace: 'if (credential === replaced) return endsAtOnce || nowMs > 0 ? [] :',
      },
    ],
    test: interleavings,
  },
  {
    id: 'foreign-pending-barred',
    bug: 'of two operators that both lead, the one that sees its key delivered bars what the other has under way',
    edits: [
      {
        file: 'operator/translate/generate.ts',
        find: 'return credential.attempt === input.attempt?.id ? [] : credential;',
        replace: 'return [];',
      },
    ],
    test: golden('generate-5-adopt-foreign.in.yaml'),
  },
  {
    id: 'follower-writes',
    bug: 'a process that has lost the lease goes on writing',
    edits: [{ file: 'operator/leadership/write-guard.ts', find: 'if (!mayWrite()) throw', replace: 'if (false) throw' }],
    test: {
      file: 'operator/leadership/write-guard.test.ts',
      name: 'a guarded cluster > refuses every write of a process that does not lead, and tells no Events',
    },
  },
  {
    id: 'follower-unguarded',
    bug: 'the operator writes past the guard that the lease gives it',
    edits: [
      {
        file: 'operator/operator.ts',
        find: 'toWriteGuarded(options.cluster, options.mayWrite ?? (() => true))',
        replace: 'toWriteGuarded(options.cluster, () => true)',
      },
    ],
    test: {
      file: 'operator/leadership/write-guard.test.ts',
      name: 'an operator whose lease has passed to another one while it was stopped > writes nothing over its successor, whatever still runs, and goes on when it leads again',
    },
  },
  {
    id: 'publish-before-record',
    bug: 'a hash is published before it is recorded, and is nobody’s after a crash',
    edits: [
      {
        file: 'operator/reconcile-key.ts',
        find: 'if (output.hashedSecret !== undefined) {',
        replace: 'publisher.setKey(id, output.record, { urgent: output.urgent });\n    if (output.hashedSecret !== undefined) {',
      },
    ],
    test: { file: 'operator/reconcile.test.ts', name: 'faults > a hash that could not be recorded is neither published nor delivered' },
  },
  {
    id: 'short-list-ends-keys',
    bug: 'a list that came back too short ends the keys that are missing from it',
    edits: [
      {
        file: 'operator/reconcile-key.ts',
        find: "return absences.isGone(`VirtualKey/${id}`) ? undefined : 'unknown';",
        replace: 'return undefined;',
      },
    ],
    test: {
      file: 'operator/reconcile.test.ts',
      name: 'faults > a key whose VirtualKey is missing from the list, but not deleted, is asked for before it ends',
    },
  },
  {
    id: 'hash-shared',
    bug: 'a hash that another key has recorded is taken as well, with that key’s limits or ours',
    edits: [
      {
        file: 'operator/translate/claim.ts',
        find: 'if (isFirstOwner(claims, record, hash)) return undefined;',
        replace: 'return undefined;',
      },
    ],
    test: {
      file: 'operator/reconcile.test.ts',
      name: 'brought hashes > belong to the key that recorded them first, also when two come at once',
    },
  },
  {
    id: 'claim-tie',
    bug: 'two keys that have recorded the same hash at the same moment both have it',
    edits: [
      {
        file: 'operator/translate/claim.ts',
        find: '(own.createdAt === owner.createdAt && record.uid < owner.uid)',
        replace: 'own.createdAt === owner.createdAt',
      },
    ],
    test: {
      file: 'operator/credentials/credential-store.test.ts',
      name: 'an operator > takes a hash from the key that has it when another turns out to have recorded it first',
    },
  },
  {
    id: 'rivals-forgotten',
    bug: 'a key whose hash turns out to belong to another one keeps it until something else happens to it',
    edits: [
      {
        file: 'operator/credentials/credential-store.ts',
        find: '[record.keyId, ...this.#rivals(before, after)]',
        replace: '[record.keyId]',
      },
    ],
    test: {
      file: 'operator/credentials/credential-store.test.ts',
      name: 'of two keys that have recorded the same hash > the other one is to be looked at when one comes, changes, lets go of the hash, or goes',
    },
  },
  {
    id: 'rivals-beside-watch',
    bug: 'that a hash belongs to another key is not acted on when it was read beside the watch',
    edits: [
      {
        file: 'operator/credentials/credential-store.ts',
        find: 'if (secret?.metadata.resourceVersion !== known) this',
        replace: 'if (known === undefined && secret === undefined) this',
      },
    ],
    test: {
      file: 'operator/credentials/credential-store.test.ts',
      name: 'of two keys that have recorded the same hash > the other one is looked at also when a record is found beside the watch',
    },
  },
  {
    id: 'delivered-unconfirmed',
    bug: 'a key is delivered over that of another leader, of which the watch has not told yet',
    edits: [
      {
        file: 'operator/reconcile-key.ts',
        find: 'if (await this.#options.watches.credentials.confirm(id)) await',
        replace: 'await',
      },
    ],
    test: {
      file: 'operator/credentials/credential-store.test.ts',
      name: 'an operator > does not write its own key over one that was delivered for the same wish, although the watch has not told of it',
    },
  },
  {
    id: 'refused-edit-taken',
    bug: 'an edit that is refused is in force all the same',
    edits: [
      {
        file: 'operator/translate/key.ts',
        find: 'if (problem === undefined) return { refused, toTell: wanted };',
        replace: 'if (problem !== null) return { refused, toTell: wanted };',
      },
    ],
    test: {
      file: 'operator/reconcile.test.ts',
      name: 'an edit that is not accepted > leaves the last accepted record in force until it is mended',
    },
  },

  // Consent and rest
  {
    id: 'unlabelled-secret-read',
    bug: 'a Secret is read although its owner has not labelled it',
    edits: [
      {
        file: 'operator/translate/source-entries.ts',
        find: "return secret.metadata.labels?.[consentLabel] === 'true';",
        replace: 'return secret !== undefined;',
      },
      // the watch alone would hide it
      { file: 'operator/watches.ts', find: 'labelSelector: `${consentLabel}=true`', replace: 'labelSelector: undefined' },
    ],
    test: { file: 'operator/reconcile.test.ts', name: 'a key from a labelled Secret > is taken, follows the Secret, and needs the label' },
  },
  {
    id: 'unlabelled-secret-told',
    bug: 'the rules take the key of a Secret that its owner has not labelled',
    edits: [
      {
        file: 'operator/translate/source-entries.ts',
        find: "return secret.metadata.labels?.[consentLabel] === 'true';",
        replace: 'return secret !== undefined;',
      },
    ],
    test: golden('secret-ref-missing.in.yaml'),
  },
  {
    id: 'status-at-rest',
    bug: 'a status that has not changed is written again',
    edits: [
      { file: 'operator/reconcile-key.ts', find: 'if (isDeepStrictEqual(virtualKey.status, output.status.value)) return;', replace: '' },
    ],
    test: { file: 'operator/operator.test.ts', name: 'at rest > writes nothing, however often everything is looked at' },
  },
  {
    id: 'snapshot-at-rest',
    bug: 'a shard with equal content is written again',
    edits: [
      {
        file: 'operator/snapshot/snapshot-shards.ts',
        find: 'if (secret.isForeign || secret.revision !== revision) {',
        replace: 'if (shard.name !== "") {',
      },
      { file: 'operator/snapshot/snapshot-secret.ts', find: 'if (this.#known?.revision === revision) return;', replace: '' },
      // a key that stays as it is does not come so far otherwise
      {
        file: 'operator/snapshot/publish.ts',
        find: 'if (!isDeepStrictEqual(bucket.desired.get(id), record)) this.#set({ bucket, id, record,',
        replace:
          'const same = bucket.desired.get(id) as KeyRecord | undefined;\n    this.#set({ bucket, id, record: isDeepStrictEqual(same, record) ? same : record,',
      },
    ],
    test: { file: 'operator/operator.test.ts', name: 'at rest > writes nothing, however often everything is looked at' },
  },
];
