import { Registry } from 'prom-client';
import type { Cluster, ClusterObject, Reference, SecretObject } from '../../operator/cluster/cluster.ts';
import { ClusterError } from '../../operator/cluster/cluster.ts';
import { makeKubernetesCluster } from '../../operator/cluster/kubernetes/kubernetes.ts';
import { findKubeConfig } from '../../proxy/kubernetes/kube-config.ts';
import { makeKubernetesApi } from '../../proxy/kubernetes/kubernetes-api.ts';
import { systemClock } from '../../runtime/clock.ts';
import { makeLog } from '../../runtime/log.ts';
import { eventually } from '../support/eventually.ts';
import type { Grant, Place } from './grants.ts';

export type Outcome = 'allowed' | 'forbidden';

/** The namespace in which a right is tried. */
export const namespaces: Record<Place, string> = {
  tenant: 'default',
  cluster: 'default',
  system: 'keywright-system',
  snapshot: 'keywright-snapshot',
};

const log = makeLog({ level: 'silent', name: 'test' });
const kinds: Readonly<Record<string, Reference['kind']>> = {
  secrets: 'Secret',
  namespaces: 'Namespace',
  'keywright.dev/virtualkeys': 'VirtualKey',
  'keywright.dev/channels': 'Channel',
  'coordination.k8s.io/leases': 'Lease',
  'apiextensions.k8s.io/customresourcedefinitions': 'CustomResourceDefinition',
};

/** Does what the grant is for, by the process's own means of reaching the API server and with its account's token. */
export async function tryGrant(grant: Grant, kubeconfig: string): Promise<Outcome> {
  return grant.account === 'proxy' ? tryAsProxy(grant, kubeconfig) : tryAsOperator(grant, kubeconfig);
}

async function tryAsProxy({ verb, place }: Grant, kubeconfig: string): Promise<Outcome> {
  const found = findKubeConfig({ KUBECONFIG: kubeconfig });
  if (!found.ok) throw new Error(found.mistake);
  const api = makeKubernetesApi({ connection: found.connection, namespace: namespaces[place], clock: systemClock });
  const ending = new AbortController();
  try {
    if (verb === 'list') {
      const answer = await api.list({ continueToken: undefined, signal: ending.signal });
      return answer.ok ? 'allowed' : toOutcome(answer.failure.message);
    }
    let opened = false;
    const onOpen = (): void => {
      opened = true;
      ending.abort();
    };
    const failure = await api.watch({ resourceVersion: '0', timeoutSeconds: 60, signal: ending.signal, onOpen, onEvent: () => undefined });
    return opened ? 'allowed' : toOutcome(failure?.message ?? 'ended');
  } finally {
    await api.close();
  }
}

function toOutcome(message: string): Outcome {
  if (/\b403\b/.test(message)) return 'forbidden';
  throw new Error(message);
}

async function tryAsOperator(grant: Grant, kubeconfig: string): Promise<Outcome> {
  const registry = new Registry();
  const cluster = makeKubernetesCluster({
    kubeconfigPath: kubeconfig,
    log,
    metrics: { registry },
    clock: systemClock,
    random: Math.random,
  });
  try {
    if (grant.verb === 'watch') return await tryWatch(grant, cluster, registry);
    if (grant.resource === 'events') return await tryEvent(grant, cluster, registry);
    await operations[grant.verb](grant, cluster);
    return 'allowed';
  } catch (error) {
    if (error instanceof ClusterError && error.reason === 'Forbidden') return 'forbidden';
    throw error;
  } finally {
    await cluster.close();
  }
}

let count = 0;

const operations: Readonly<Record<Exclude<Grant['verb'], 'watch'>, (grant: Grant, cluster: Cluster) => Promise<unknown>>> = {
  get: (grant, cluster) => cluster.get(toReference(grant)),
  list: (grant, cluster) => cluster.list(toSelection(grant)),
  async create(grant, cluster) {
    count += 1;
    await cluster.create({ ...toObject(grant), metadata: { name: `made-${count}`, namespace: namespaces[grant.place] } });
  },
  // The version is that of nobody: rights are looked at first, and a conflict is an answer as well.
  update: (grant, cluster) => cluster.replace(withVersion(toObject(grant))),
  patch: (grant, cluster) => cluster.patchStatus(withVersion(toObject(grant)), { observedGeneration: 1 }),
  delete: (grant, cluster) => cluster.remove({ ...toReference(grant), name: 'not-there' }),
};

function toReference({ resource, place, names }: Grant): Reference {
  const kind = kinds[resource.replace(/\/status$/, '')];
  if (kind === undefined) throw new Error(`no kind for ${resource}`);
  const name = names?.[0] ?? 'sample';
  return kind === 'CustomResourceDefinition' || kind === 'Namespace' ? { kind, name } : { kind, name, namespace: namespaces[place] };
}

/** As the operator lists and watches them: everywhere, or in one namespace; a lease by its name. */
function toSelection(grant: Grant) {
  const { kind, namespace, name } = toReference(grant);
  return {
    kind,
    ...(grant.place === 'cluster' || namespace === undefined ? {} : { namespace }),
    ...(grant.names === undefined ? {} : { fieldSelector: `metadata.name=${name}` }),
    ...(kind === 'Secret' && grant.place !== 'system' ? { metadataOnly: true } : {}),
  };
}

function toObject(grant: Grant): ClusterObject {
  const { kind, ...metadata } = toReference(grant);
  const apiVersions: Partial<Record<Reference['kind'], string>> = { Secret: 'v1', Lease: 'coordination.k8s.io/v1' };
  return { apiVersion: apiVersions[kind] ?? 'keywright.dev/v1alpha1', kind, metadata, ...(kind === 'Lease' ? { spec: {} } : {}) };
}

function withVersion<T extends ClusterObject>(object: T): T {
  return { ...object, metadata: { ...object.metadata, resourceVersion: '1' } };
}

/** A reflector goes on for ever whatever happens; what it was answered is in the metrics. */
async function tryWatch(grant: Grant, cluster: Cluster, registry: Registry): Promise<Outcome> {
  const reflector = cluster.reflect<SecretObject>({ ...toSelection(grant), onEvent: () => undefined });
  try {
    return await answered(registry, 'watch');
  } finally {
    await reflector.stop();
  }
}

/** Events are written behind the caller's back and at most best effort; the second of a kind counts the first one up. */
async function tryEvent({ verb, place }: Grant, cluster: Cluster, registry: Registry): Promise<Outcome> {
  count += 1;
  const regarding = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: `about-${count}`, namespace: namespaces[place], uid: `${count}` },
  };
  const event = { regarding, type: 'Normal', reason: 'Tried', message: 'a right is tried' } as const;
  cluster.recordEvent(event);
  const created = await answered(registry, 'create');
  if (verb === 'create' || created === 'forbidden') return created;
  cluster.recordEvent(event);
  return answered(registry, 'patch');
}

async function answered(registry: Registry, verb: string): Promise<Outcome> {
  return eventually(
    async () => {
      const { values } = (await registry.getSingleMetric('keywright_kube_requests_total')?.get()) ?? { values: [] };
      const codes = values.filter(({ labels }) => labels['verb'] === verb).map(({ labels }) => String(labels['code']));
      if (codes.some((code) => code.startsWith('20'))) return 'allowed' as const;
      if (codes.includes('403')) return 'forbidden' as const;
      throw new Error(`no answer to ${verb} yet: ${codes.join()}`);
    },
    { withinMs: 60_000, everyMs: 20 },
  );
}
