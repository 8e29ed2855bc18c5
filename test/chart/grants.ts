/** Every right that the chart grants to operator and proxies, with what fails without it. docs/rbac.md is written from here and `rbac.test.ts` holds it. */

export type Account = 'operator' | 'proxy';
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';
/** Where the right is given when single namespaces are watched: in each of them, in the operator's own, in the snapshot's, or in the whole cluster. */
export type Place = 'tenant' | 'system' | 'snapshot' | 'cluster';

export interface Grant {
  readonly account: Account;
  readonly place: Place;
  /** `group/resource`; of the core group without the slash */
  readonly resource: string;
  readonly verb: Verb;
  /** only objects of these names */
  readonly names?: readonly string[];
  /** what the process does with it; the name of the test that fails without it */
  readonly test: string;
}

const virtualKeys = 'keywright.dev/virtualkeys';
const channels = 'keywright.dev/channels';
const leases = 'coordination.k8s.io/leases';
const definitions = 'apiextensions.k8s.io/customresourcedefinitions';
const lease = ['keywright-operator'];

function operator(place: Place, resource: string, tests: Partial<Record<Verb, string>>, names?: readonly string[]): Grant[] {
  return Object.entries(tests).map(([verb, test]) => ({
    account: 'operator' as const,
    place,
    resource,
    verb: verb as Verb,
    test,
    ...(names === undefined ? {} : { names }),
  }));
}

/** With `watchNamespaces`: Roles in single namespaces. */
export const grantsInNamespaces: readonly Grant[] = [
  ...operator('tenant', virtualKeys, {
    get: 'asks whether a VirtualKey that a list lacks is really gone',
    list: 'knows the VirtualKeys that are there at its start',
    watch: 'learns at once of a changed VirtualKey',
  }),
  ...operator('tenant', channels, {
    get: 'asks whether a Channel that a list lacks is really gone',
    list: 'knows the Channels that are there at its start',
    watch: 'learns at once of a changed Channel',
  }),
  ...operator('tenant', `${virtualKeys}/status`, { patch: 'writes the status of a VirtualKey' }),
  ...operator('tenant', `${channels}/status`, { patch: 'writes the status of a Channel' }),
  ...operator('tenant', 'secrets', {
    get: 'reads a labelled provider Secret',
    list: 'knows which Secrets are labelled, by their metadata alone',
    watch: 'learns at once of a changed provider key',
    create: 'delivers a key',
    update: 'delivers the next key at a rotation, and mends a delivery Secret',
  }),
  ...operator('tenant', 'events', { create: 'records an Event', patch: 'counts an Event that comes again' }),
  ...operator('system', 'secrets', {
    get: 'reads the installation secret',
    list: 'knows the hashed Secrets',
    watch: 'learns of a hashed Secret that the other replica wrote',
    create: 'makes the hashed Secret of a new key',
    update: 'changes the hashed Secret of a key',
    delete: 'takes away the record of a key that is long gone',
  }),
  ...operator('system', leases, { create: 'makes the lease of the first leader' }),
  ...operator(
    'system',
    leases,
    {
      get: 'looks who leads',
      list: 'finds the lease',
      watch: 'learns at once that the lease is free',
      update: 'takes and renews the lease',
    },
    lease,
  ),
  ...operator('snapshot', 'secrets', {
    get: 'reads the index before it writes it anew',
    list: 'knows what is published, before it publishes',
    watch: 'learns that somebody edited the snapshot',
    create: 'publishes a shard for the first time',
    update: 'publishes a changed shard',
    delete: 'takes away the shards of an old epoch',
  }),
  ...operator('snapshot', 'events', {
    create: 'records an Event about the snapshot',
    patch: 'counts an Event about the snapshot that comes again',
  }),
  ...operator('cluster', definitions, { get: 'compares the CRDs with what it enforces' }, [
    'virtualkeys.keywright.dev',
    'channels.keywright.dev',
  ]),
  { account: 'proxy', place: 'snapshot', resource: 'secrets', verb: 'list', test: 'reads the snapshot' },
  { account: 'proxy', place: 'snapshot', resource: 'secrets', verb: 'watch', test: 'follows the snapshot' },
];

/** Without: what concerns tenants is granted in the whole cluster, and covers Secrets of the two namespaces but their deletion. */
export const grantsInCluster: readonly Grant[] = [
  ...grantsInNamespaces
    .filter(
      ({ account, place, resource, verb }) =>
        account === 'proxy' || place === 'tenant' || place === 'cluster' || resource === leases || verb === 'delete',
    )
    .map((grant) => (grant.place === 'tenant' ? { ...grant, place: 'cluster' as const } : grant)),
  ...operator('cluster', 'namespaces', {
    get: 'asks for one that a list lacked, which does not mean that it is gone',
    list: 'knows the labels of namespaces, for allowedNamespaces.from: Selector',
    watch: 'learns at once of a namespace’s changed labels',
  }),
];

/** The rows of docs/rbac.md. */
export function toGrantRows(grants: readonly Grant[]): string[] {
  const places: Record<Place, string> = {
    tenant: 'each of `watchNamespaces`',
    system: 'the release’s namespace',
    snapshot: 'the snapshot namespace',
    cluster: 'the cluster',
  };
  return grants.map(
    ({ account, place, resource, verb, names, test }) =>
      `| ${account} | ${places[place]} | \`${resource}\`${names === undefined ? '' : ` (${names.map((name) => `\`${name}\``).join(', ')})`} | \`${verb}\` | ${test} |`,
  );
}
