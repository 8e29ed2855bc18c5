import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import type { Account } from './grants.ts';

/** A request that its account must not be able to make; written ones are dry, so that a hole does no harm. */
export interface Attack {
  readonly account: Account;
  readonly what: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

const core = '/api/v1';
const keywright = '/apis/keywright.dev/v1alpha1';
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const binding = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: 'mine' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  subjects: [{ kind: 'ServiceAccount', name: 'keywright-operator', namespace: 'keywright-system' }],
};
const key = { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata: { name: 'planted' }, spec: {} };
const wider = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }];

export const attacks: readonly Attack[] = [
  {
    account: 'proxy',
    what: 'read one Secret of the snapshot by its name',
    method: 'GET',
    path: `${core}/namespaces/keywright-snapshot/secrets/x`,
  },
  { account: 'proxy', what: 'write the snapshot', method: 'PATCH', path: `${core}/namespaces/keywright-snapshot/secrets/x`, body: {} },
  { account: 'proxy', what: 'delete the snapshot', method: 'DELETE', path: `${core}/namespaces/keywright-snapshot/secrets` },
  { account: 'proxy', what: 'list hashed Secrets', method: 'GET', path: `${core}/namespaces/keywright-system/secrets` },
  { account: 'proxy', what: 'list a tenant’s Secrets', method: 'GET', path: `${core}/namespaces/default/secrets` },
  { account: 'proxy', what: 'list all Secrets', method: 'GET', path: `${core}/secrets` },
  { account: 'proxy', what: 'list VirtualKeys', method: 'GET', path: `${keywright}/virtualkeys` },
  { account: 'proxy', what: 'list namespaces', method: 'GET', path: `${core}/namespaces` },
  {
    account: 'proxy',
    what: 'get itself a token',
    method: 'POST',
    path: `${core}/namespaces/keywright-system/serviceaccounts/keywright-operator/token`,
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  },
  { account: 'proxy', what: 'bind itself to cluster-admin', method: 'POST', path: `${rbac}/clusterrolebindings`, body: binding },

  { account: 'operator', what: 'delete a tenant’s Secret', method: 'DELETE', path: `${core}/namespaces/default/secrets/x` },
  { account: 'operator', what: 'delete all of a tenant’s Secrets', method: 'DELETE', path: `${core}/namespaces/default/secrets` },
  {
    account: 'operator',
    what: 'patch a tenant’s Secret past the version it has read',
    method: 'PATCH',
    path: `${core}/namespaces/default/secrets/x`,
    body: {},
  },
  {
    account: 'operator',
    what: 'change the spec of a VirtualKey',
    method: 'PATCH',
    path: `${keywright}/namespaces/default/virtualkeys/x`,
    body: { spec: {} },
  },
  {
    account: 'operator',
    what: 'replace a VirtualKey',
    method: 'PUT',
    path: `${keywright}/namespaces/default/virtualkeys/planted`,
    body: key,
  },
  { account: 'operator', what: 'create a VirtualKey', method: 'POST', path: `${keywright}/namespaces/default/virtualkeys`, body: key },
  { account: 'operator', what: 'delete a VirtualKey', method: 'DELETE', path: `${keywright}/namespaces/default/virtualkeys/x` },
  {
    account: 'operator',
    what: 'change the spec of a Channel',
    method: 'PATCH',
    path: `${keywright}/namespaces/default/channels/x`,
    body: { spec: {} },
  },
  { account: 'operator', what: 'bind itself to cluster-admin', method: 'POST', path: `${rbac}/clusterrolebindings`, body: binding },
  {
    account: 'operator',
    what: 'widen its own ClusterRole',
    method: 'PATCH',
    path: `${rbac}/clusterroles/keywright-operator`,
    body: { rules: wider },
  },
  {
    account: 'operator',
    what: 'make a Role',
    method: 'POST',
    path: `${rbac}/namespaces/keywright-system/roles`,
    body: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'mine' }, rules: wider },
  },
  {
    account: 'operator',
    what: 'get itself a token of another account',
    method: 'POST',
    path: `${core}/namespaces/kube-system/serviceaccounts/default/token`,
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
  },
  {
    account: 'operator',
    what: 'act as somebody else',
    method: 'GET',
    path: `${core}/namespaces/default/secrets`,
    headers: { 'impersonate-user': 'administrator', 'impersonate-group': 'system:masters' },
  },
  {
    account: 'operator',
    what: 'run a pod',
    method: 'POST',
    path: `${core}/namespaces/default/pods`,
    body: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'mine' }, spec: { containers: [{ name: 'a', image: 'a:1' }] } },
  },
  { account: 'operator', what: 'read ConfigMaps', method: 'GET', path: `${core}/configmaps` },
  { account: 'operator', what: 'list CRDs', method: 'GET', path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions' },
  {
    account: 'operator',
    what: 'change its CRD',
    method: 'PATCH',
    path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/virtualkeys.keywright.dev',
    body: {},
  },
  {
    account: 'operator',
    what: 'read the CRD of somebody else',
    method: 'GET',
    path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x.example.com',
  },
  {
    account: 'operator',
    what: 'take the lease of somebody else',
    method: 'PUT',
    path: '/apis/coordination.k8s.io/v1/namespaces/keywright-system/leases/other',
    body: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'other' } },
  },
  { account: 'operator', what: 'delete a namespace', method: 'DELETE', path: `${core}/namespaces/default` },
  { account: 'operator', what: 'label a namespace', method: 'PATCH', path: `${core}/namespaces/default`, body: {} },
];

/** What a ClusterRole lets it, and Roles do not. */
export const attacksInNamespaces: readonly Attack[] = [
  { account: 'operator', what: 'list the VirtualKeys of the cluster', method: 'GET', path: `${keywright}/virtualkeys` },
  {
    account: 'operator',
    what: 'list the VirtualKeys of another namespace',
    method: 'GET',
    path: `${keywright}/namespaces/other/virtualkeys`,
  },
  { account: 'operator', what: 'read the Secrets of another namespace', method: 'GET', path: `${core}/namespaces/other/secrets` },
  {
    account: 'operator',
    what: 'write Secrets in another namespace',
    method: 'POST',
    path: `${core}/namespaces/other/secrets`,
    body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } },
  },
  { account: 'operator', what: 'list namespaces', method: 'GET', path: `${core}/namespaces` },
  {
    account: 'operator',
    what: 'record Events in another namespace',
    method: 'POST',
    path: `${core}/namespaces/other/events`,
    body: { apiVersion: 'v1', kind: 'Event', metadata: { name: 'x' } },
  },
];

interface Kubeconfig {
  readonly clusters: readonly [{ readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string } }];
  readonly users: readonly [{ readonly user: { readonly token: string } }];
}

export async function send({ method, path, body, headers }: Attack, kubeconfig: string): Promise<{ status: number; text: string }> {
  const { clusters, users } = JSON.parse(readFileSync(kubeconfig, 'utf8')) as Kubeconfig;
  const { server, 'certificate-authority-data': certificate } = clusters[0].cluster;
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const options = {
    method,
    ca: Buffer.from(certificate, 'base64'),
    agent: false as const,
    headers: {
      authorization: `Bearer ${users[0].user.token}`,
      'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      ...headers,
    },
  };
  const call = request(`${server}${path}${method === 'GET' ? '' : '?dryRun=All'}`, options, (answer) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (part: string) => (text += part));
    answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
  });
  call.on('error', reject);
  call.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}
