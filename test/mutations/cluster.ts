import { golden } from './named-tests.ts';
import type { Mutation } from './plant.ts';

export const clusterMutations: readonly Mutation[] = [
  // GitOps
  {
    id: 'tracker-labels-copied',
    bug: 'the delivery Secret gets the labels of the VirtualKey, so that Argo CD or Flux prunes it',
    edits: [
      {
        file: 'operator/credentials/delivery-secret.ts',
        find: 'labels: { ...template?.labels, [deliveryLabel]',
        replace: 'labels: { ...virtualKey.metadata.labels, ...template?.labels, [deliveryLabel]',
      },
    ],
    test: {
      file: 'operator/trackers.test.ts',
      name: 'the marks of whoever applied a VirtualKey > are never on its delivery Secret, when it is made and when it is written again',
    },
  },
  {
    id: 'refused-domain-below',
    bug: 'a template may set meta.helm.sh/ names, so that Helm adopts the delivery Secret',
    edits: [{ file: 'operator/translate/acceptance.ts', find: ' || prefix.endsWith(`.${domain}`)', replace: '' }],
    test: {
      file: 'operator/translate/acceptance.test.ts',
      name: 'a delivery template > is told every name that it may not set, and no other',
    },
  },
  {
    id: 'stalled-missing',
    bug: 'a mistake that only an edit mends is not Stalled, so that a release waits until its time-out',
    edits: [
      {
        file: 'operator/translate/key-conditions.ts',
        find: "type: problem?.stalled === true ? 'Stalled' : 'Reconciling'",
        replace: "type: 'Reconciling'",
      },
    ],
    test: golden('secret-ref-weak.in.yaml'),
  },
  {
    id: 'revoked-not-ready',
    bug: 'a revoked key is not Ready, so that it blocks every release',
    edits: [
      {
        file: 'operator/translate/key-conditions.ts',
        find: "return { type: 'Ready', status: 'True', ...toReached(state) };",
        replace: "return { type: 'Ready', status: state.record.revokedAt === undefined ? 'True' : 'False', ...toReached(state) };",
      },
    ],
    test: golden('revoked-told.in.yaml'),
  },
  {
    id: 'health-of-the-edit-before',
    bug: 'the health check for Argo CD takes the status of the edit before for that of the last one',
    edits: [
      {
        file: 'examples/gitops/argocd/health.lua',
        find: 'if obj.status.observedGeneration ~= obj.metadata.generation then',
        replace: 'if false then',
      },
    ],
    test: { file: 'examples/gitops/argocd/health.test.ts', name: 'the health check for Argo CD > is Progressing with an old generation' },
  },

  // Faults of the API server
  {
    id: 'watch-dead-after-410',
    bug: 'a watch whose version has expired is asked for again from there, for ever',
    edits: [
      {
        file: 'operator/cluster/kubernetes/reflector.ts',
        find: 'if (expired || this.#failures >= failuresBeforeRelist)',
        replace: 'if (!expired && this.#failures >= failuresBeforeRelist)',
      },
    ],
    test: {
      file: 'operator/cluster/kubernetes/reflector.test.ts',
      name: 'reflector > lists anew at once when the version has expired (in the stream), and tells only what differs',
    },
  },
  {
    id: 'no-back-off',
    bug: 'the operator comes back in a tight loop to a server that ends each watch after an event',
    edits: [{ file: 'operator/cluster/kubernetes/reflector.ts', find: 'if (!told || this.#shortWatches > 1)', replace: 'if (!told)' }],
    test: {
      file: 'operator/cluster/kubernetes/reflector-faults.test.ts',
      name: 'a server that would have us come back again and again > ends each watch after an event: the second time we take our time',
    },
  },
  {
    id: 'list-without-version',
    bug: 'a list without a resource version is watched on from any version, which never tells what was deleted in between',
    edits: [{ file: 'operator/cluster/kubernetes/reflector.ts', find: "if (resourceVersion === '')", replace: 'if (false)' }],
    test: {
      file: 'operator/cluster/kubernetes/reflector-faults.test.ts',
      name: 'answers that are not what they should be > a list without a resource version is not believed: nothing is gone',
    },
  },
  {
    id: 'unreadable-item-is-gone',
    bug: 'an item of a list that cannot be read is taken for deleted',
    edits: [{ file: 'operator/cluster/kubernetes/kubernetes.ts', find: 'if (parsed.length < items.length)', replace: 'if (false)' }],
    test: {
      file: 'operator/cluster/kubernetes/reflector-faults.test.ts',
      name: 'answers that are not what they should be > a list with an item that is no object is not believed: nothing is gone',
    },
  },
  {
    id: 'restored-store-unnoticed',
    bug: 'a proxy goes on watching from a version that a restored store has not reached, and hears nothing',
    edits: [
      { file: 'proxy/kubernetes/watch-health.ts', find: 'return this.#silences >= silencesBeforeRelist;', replace: 'return false;' },
      { file: 'proxy/kubernetes/kubernetes-source.ts', find: 'this.#failures >= failuresBeforeRelist', replace: 'false' },
    ],
    test: {
      file: 'proxy/kubernetes/kubernetes-source-faults.test.ts',
      name: 'a server that says nothing, or something else > is listed when it is silent twice from the same version: its history may be another one',
    },
  },
  {
    id: 'history-not-asked-for',
    bug: 'after a broken watch the operator goes on from a version that a restored store has not reached',
    edits: [
      {
        file: 'operator/cluster/kubernetes/reflector.ts',
        find: 'if (this.#inDoubt) await this.#checkHistory();',
        replace: '',
      },
    ],
    test: {
      file: 'operator/cluster/kubernetes/reflector-faults.test.ts',
      name: 'a server that is there and does not answer > is asked for its version when a watch has broken off: a store that was restored',
    },
  },
  {
    id: 'leads-after-deadline',
    bug: 'a leader whose renewals are not answered in time goes on leading while its lease looks fresh',
    edits: [
      { file: 'operator/leadership/lease.ts', find: ' && this.#options.monotonicMs() < this.#term.deadlineMs', replace: '' },
      { file: 'operator/leadership/lease.ts', find: 'if (term.ending.signal.aborted) return;', replace: 'return;' },
    ],
    test: {
      file: 'operator/leadership/lease-faults.test.ts',
      name: 'leader election over a slow network > a renewal that is answered after the deadline prolongs nothing',
    },
  },
  {
    id: 'write-after-the-lease',
    bug: 'a write that has waited for a throttling server is sent although the process leads no more',
    edits: [{ file: 'operator/cluster/kubernetes/client.ts', find: 'if (writes && !this.#options.mayWrite())', replace: 'if (false)' }],
    test: {
      file: 'operator/cluster/kubernetes/client.test.ts',
      name: 'Kubernetes client > sends no write that has waited for longer than we lead, neither at first nor once more',
    },
  },
  {
    id: 'urgent-waits',
    bug: 'an urgent write of the snapshot waits behind all others',
    edits: [
      {
        file: 'operator/queue/work-queue.ts',
        find: 'this.#take(this.#urgent, concurrency + urgentConcurrency) ?? this.#take(this.#waiting, concurrency)',
        replace: 'this.#take(this.#waiting, concurrency) ?? this.#take(this.#urgent, concurrency + urgentConcurrency)',
      },
    ],
    test: {
      file: 'operator/queue/work-queue.test.ts',
      name: 'work queue > takes what is urgent before everything that is not, also what waited already or runs',
    },
  },
  {
    id: 'crowd-goes-first',
    bug: 'a namespace with many waiting keys is served to its end before the next one’s turn',
    edits: [
      {
        file: 'operator/queue/fair-line.ts',
        find: '      this.#groups.delete(name);\n      group.delete(first[0]);',
        replace: '      if (group.size <= 1) this.#groups.delete(name);\n      group.delete(first[0]);',
      },
    ],
    test: { file: 'operator/queue/fair-line.test.ts', name: 'a fair line > lets groups take turns, each in the order of arrival' },
  },
  {
    id: 'one-namespace-has-all-workers',
    bug: 'one namespace may have all workers, and others wait until the API server has answered for it',
    edits: [
      {
        file: 'operator/operator.ts',
        find: 'urgentConcurrency: 4, keptForOthers: 2',
        replace: 'urgentConcurrency: 0, keptForOthers: 0',
      },
    ],
    test: {
      file: 'operator/noisy-neighbour.test.ts',
      name: 'a revocation, a suspension and an edit do not wait for any of the edits of another namespace',
    },
  },
  {
    id: 'revocation-paced',
    bug: 'the revocation of a key that is edited without a pause waits for its turn like another edit',
    edits: [{ file: 'operator/watches.ts', find: "if (isEndedByEdit(before, object)) return 'urgently';", replace: '' }],
    test: {
      file: 'operator/noisy-neighbour.test.ts',
      name: 'a revocation does not wait for the edits of its own namespace, nor for those of its own key',
    },
  },
  {
    id: 'late-answer-hides-an-edit',
    bug: 'the answer to our own write, which comes after the watch has shown a later edit, takes the place of that edit',
    edits: [
      {
        file: 'operator/reflected-store.ts',
        find: "if (former !== undefined && liesBefore(object.metadata.resourceVersion ?? '', former)) return false;",
        replace: '',
      },
    ],
    test: {
      file: 'operator/reflected-store.test.ts',
      name: 'a store ahead of its watch by our own writes > keeps what the watch has shown after our write, when the answer to the write comes later still',
    },
  },
  {
    id: 'each-edit-is-looked-at',
    bug: 'an object that is edited without a pause is looked at as often as it is edited',
    edits: [{ file: 'operator/queue/change-pace.ts', find: 'return paced.dueMs - nowMs;', replace: 'return 0;' }],
    test: {
      file: 'operator/noisy-neighbour.test.ts',
      name: 'an object that is edited without a pause is looked at once a second, at last as it stands at last',
    },
  },
  {
    id: 'large-statuses-without-rest',
    bug: 'the status of a large object is written for each of its edits',
    edits: [{ file: 'operator/status-writer.ts', find: 'length < largeBytes ? 0', replace: 'length > 0 ? 0' }],
    test: {
      file: 'operator/status-writer.test.ts',
      name: 'statuses of an object that is edited again and again > are the fewer, the larger it is, and at last there is the right one',
    },
  },
];
