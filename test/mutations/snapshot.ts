import type { Mutation } from './plant.ts';

export const snapshotMutations: readonly Mutation[] = [
  // Snapshot
  {
    id: 'removed-shard-ends-keys',
    bug: 'a snapshot Secret that somebody removes takes its keys with it',
    edits: [
      {
        file: 'proxy/snapshot/snapshot-index.ts',
        find: 'this.#inbox.removed(name);',
        replace:
          'const held = this.#held.get(name);\n    if (held !== undefined) this.#swap(held, { ...held, keys: [], channels: [] });\n    this.#inbox.removed(name);',
      },
    ],
    test: { file: 'proxy/snapshot/snapshot-index.test.ts', name: 'a change > is never the removal of a Secret' },
  },
  {
    id: 'older-generation',
    bug: 'a record with an older revocation counter brings a revoked key back',
    edits: [{ file: 'proxy/snapshot/gone-keys.ts', find: '&& record.gen < seen.gen', replace: '&& false' }],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'the end of a key > stays: a record with an older revocation counter is refused',
    },
  },
  {
    id: 'newer-shard',
    bug: 'a shard that asks for a newer reader is taken as if it were understood',
    edits: [{ file: 'core/snapshot-parse.ts', find: 'version.value.minReader > snapshotReader', replace: 'false' }],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'a bad document > for newer readers is refused and the last good one stays',
    },
  },
  {
    id: 'half-an-epoch',
    bug: 'an epoch is in force before all its shards are there',
    edits: [
      { file: 'proxy/snapshot/snapshot-index.ts', find: '|| this.#missingShards(announced).length > 0) return;', replace: ') return;' },
    ],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'an epoch > gives way when the next one is complete, whatever the order, and not before',
    },
  },
  {
    id: 'streams-of-a-revoked-key',
    bug: 'the running streams of a revoked key go on',
    edits: [
      {
        file: 'proxy/snapshot/snapshot-tables.ts',
        find: "if (after.record.state === 'Revoked') return before.state === 'Revoked' ? []",
        replace: "if (after.record.state === 'Revoked') return before.state !== undefined ? []",
      },
    ],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'the end of a key > is told when it is revoked, deleted, or made anew under the same name',
    },
  },

  // Scale
  {
    id: 'restart-reads-each',
    bug: 'a new leader asks for every delivery Secret by itself',
    edits: [{ file: 'operator/operator.ts', find: 'await prefetchDeliveries(gatherer, settings.watchNamespaces, log);', replace: '' }],
    test: { file: 'operator/restart.test.ts', name: 'reads the delivery Secrets together, and writes nothing' },
  },
  {
    id: 'users-by-all-keys',
    bug: 'a key that is revoked still counts as a user of its Channels',
    edits: [
      {
        file: 'operator/queue/user-groups.ts',
        find: 'if (spec.revoked === true || metadata.deletionTimestamp !== undefined) return undefined;',
        replace: 'if (metadata.deletionTimestamp !== undefined) return undefined;',
      },
    ],
    test: { file: 'operator/queue/user-groups.test.ts', name: 'follows edits, ends and returns, and tells which of them matter' },
  },

  // Snapshot: guard, epochs, revocations beside the shards
  {
    id: 'guard-off',
    bug: 'keys that would vanish unasked leave the snapshot, however many',
    edits: [
      { file: 'operator/snapshot/shrink-guard.ts', find: 'const blocked = vanished > mostKeys &&', replace: 'const blocked = false &&' },
    ],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'keys that would vanish though nobody has asked for it > more than 30 % and more than 20: all stay, and it is told on the index, on the keys and in metrics',
    },
  },
  {
    id: 'guard-forgets',
    bug: 'a wave that comes in small parts is not added up',
    edits: [
      {
        file: 'operator/snapshot/shrink-guard.ts',
        find: 'this.#held.size + this.#letThrough.size + this.#options.absent()',
        replace: 'this.#held.size',
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'keys that would vanish though nobody has asked for it > one after the other, each wave too small to be noticed: they count together',
    },
  },
  {
    id: 'drop-for-ever',
    bug: 'the permission to drop keys is not used up',
    edits: [
      {
        file: 'operator/snapshot/guarded-withdrawals.ts',
        find: 'if (!(await index.removeAnnotation(allowDropAnnotation))) return false;',
        replace: '',
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'keys that would vanish though nobody has asked for it > go when somebody allows it for this epoch, once',
    },
  },
  {
    id: 'absences-in-a-storm',
    bug: 'objects that a list lacked are asked for as fast as the API server answers',
    edits: [{ file: 'operator/absences.ts', find: 'await this.#pace.turn();', replace: '' }],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'a list of VirtualKeys that comes back too short > empty: none is removed, each is asked for, and never more than 50 a second',
    },
  },
  {
    id: 'found-and-forgotten',
    bug: 'of a key that a list lacked and that was found by name the later end is not told',
    edits: [{ file: 'operator/reflectors.ts', find: 'reflector.keep(object);', replace: 'continue;' }],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'a list of VirtualKeys that comes back too short > in part: what is there stays, what was really deleted meanwhile goes',
    },
  },
  {
    id: 'index-before-shards',
    bug: 'the index names an epoch whose shards are not all there',
    edits: [
      {
        file: 'operator/snapshot/snapshot-shards.ts',
        find: 'children.every(({ complete, behind }) => complete && !behind)',
        replace: 'children.length > 0',
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-epochs.test.ts',
      name: 'while epochs change, with a process that dies at any write and writes that fail > no key is unpublished, none goes back, none comes back, and in the end all is as wanted',
    },
  },
  {
    id: 'next-epoch-behind',
    bug: 'a change reaches the epoch in force before the next one, which the index may name at any moment',
    edits: [
      {
        file: 'operator/snapshot/snapshot-shards.ts',
        find: 'const trouble = await this.#writeChildren(bucket, desired, true);',
        replace: 'const trouble: unknown = undefined;',
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-epochs.test.ts',
      name: 'while epochs change, with a process that dies at any write and writes that fail > no key is unpublished, none goes back, none comes back, and in the end all is as wanted',
    },
  },
  {
    id: 'old-epoch-too-early',
    bug: 'the shards of the former epoch go before proxies had their time',
    edits: [{ file: 'operator/snapshot/former-epochs.ts', find: 'const followMs = 600_000;', replace: 'const followMs = 60_000;' }],
    test: {
      file: 'operator/snapshot/snapshot-epochs.test.ts',
      name: 'a shard that grows too large > begins an epoch with twice the shards: all of them, then the index; the former goes 10 minutes later',
    },
  },
  {
    id: 'revocations-not-first',
    bug: 'a proxy that starts is ready before it knows the revocations that stand beside the shards',
    edits: [
      {
        file: 'proxy/snapshot/snapshot-inbox.ts',
        find: 'if (pending.has(revocationsSecretName)) return revocationsSecretName;',
        replace: '',
      },
    ],
    test: {
      file: 'proxy/snapshot/snapshot-index.test.ts',
      name: 'revocations beside the shards > are told before the shards that come in the same burst make the proxy ready',
    },
  },
  {
    id: 'revocations-wait-for-shards',
    bug: 'what ends while its shard cannot be written is told by nothing but the shard',
    edits: [
      {
        file: 'operator/snapshot/publish.ts',
        find: 'if (name !== revocationsSecretName) this.#queue.add(revocationsSecretName, { urgent: true });',
        replace: '',
      },
    ],
    test: {
      file: 'standalone/snapshot-following.test.ts',
      name: 'while shards cannot be written > a key that is resumed meanwhile is resumed',
    },
  },
  {
    id: 'any-404-ends',
    bug: 'an answer that says nothing of the object (its kind is not served yet) counts as its end',
    edits: [
      {
        file: 'operator/cluster/kubernetes/kubernetes.ts',
        find: "code === 404 && fieldOf(fieldOf(body, 'details'), 'name') === name",
        replace: 'code === 404',
      },
    ],
    test: {
      file: 'operator/cluster/kubernetes/client.test.ts',
      name: 'Kubernetes client > takes for absent only what the server says of this very object, not any 404',
    },
  },
  {
    id: 'statuses-without-end',
    bug: 'of two leaders that see different things each writes its status over the other’s at once, without end',
    edits: [{ file: 'operator/status-writer.ts', find: 'if (!isLost && !isUndone) return', replace: 'if (!isLost) return' }],
    test: {
      file: 'operator/status-writer.test.ts',
      name: 'two leaders that see different things > write statuses and shards over each other’s a few times in a minute, not without end',
    },
  },
  {
    id: 'shard-over-foreign',
    bug: 'a shard that somebody else has written is written over with what we had',
    edits: [
      {
        file: 'operator/snapshot/snapshot-shards.ts',
        find: '        this.#takeOver({ bucket, shard, desired }, found);',
        replace: '        void found;',
      },
    ],
    test: {
      file: 'operator/snapshot/take-over.test.ts',
      name: 'a shard that somebody else has written > is taken over: what they have changed stands, and our own change comes on top',
    },
  },
  {
    id: 'disputed-not-looked-at',
    bug: 'a key that somebody else has taken out of the snapshot is brought back by what the watches say',
    edits: [{ file: 'operator/reconcile-key.ts', find: "    await watches.reread('VirtualKey', id);\n", replace: '' }],
    test: {
      file: 'operator/snapshot/take-over.test.ts',
      name: 'a key that somebody else has taken out of the snapshot > does not when it is gone, though no watch has told so',
    },
  },
  {
    id: 'short-list-of-namespaces',
    bug: 'a namespace that is only missing from a list counts as gone',
    edits: [
      {
        file: 'operator/watches.ts',
        find: "if (event.type === 'Deleted' && !event.seen) {",
        replace: "if (event.type === 'Deleted' && false) {",
      },
    ],
    test: {
      file: 'operator/snapshot/snapshot-guard.test.ts',
      name: 'a list of Namespaces that comes back too short > takes a Channel from nobody, and what was really deleted meanwhile goes',
    },
  },
];
