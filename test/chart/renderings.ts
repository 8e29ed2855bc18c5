import { leastValues, type Rendering } from '../support/chart.ts';

/** Every switch that makes an object or changes a pod. */
export const everything = {
  image: {
    registry: 'registry.example.com/platform',
    pullSecrets: [{ name: 'registry' }],
    operator: { digest: `sha256:${'a'.repeat(64)}` },
    proxy: { tag: '0.1.0-1' },
  },
  commonLabels: { 'example.com/team': 'platform' },
  publicUrl: 'https://llm.example.com',
  redis: {
    existingSecret: { name: 'redis', key: 'address', operatorKey: 'operator-address' },
    caSecret: { name: 'redis-ca' },
    sentinelSecret: { name: 'redis-sentinel', usernameKey: 'username' },
  },
  tls: { existingSecret: 'keywright-tls' },
  sealKey: { existingSecret: { name: 'keywright-seal' } },
  operator: {
    replicas: 3,
    settings: { keyPrefix: 'sk-acme-' },
    serviceAccount: { annotations: { 'example.com/a': 'b' } },
    priorityClassName: 'system-cluster-critical',
    extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/etc/ca/ca.crt' }],
    extraVolumes: [{ name: 'ca', configMap: { name: 'ca' } }],
    extraVolumeMounts: [{ name: 'ca', mountPath: '/etc/ca' }],
  },
  proxy: {
    autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 20, behavior: { scaleDown: { stabilizationWindowSeconds: 600 } } },
    settings: { trustedProxies: ['10.0.0.0/8'], maxInFlight: 2000, drainSeconds: 900 },
    nodeSelector: { 'kubernetes.io/arch': 'amd64' },
    tolerations: [{ key: 'dedicated', operator: 'Exists' }],
    affinity: { nodeAffinity: {} },
    topologySpreadConstraints: [],
    podAnnotations: { 'reloader.stakater.com/auto': 'true' },
    podLabels: { 'example.com/tier': 'edge' },
    extraEnvFrom: [{ configMapRef: { name: 'more' } }],
  },
  service: { type: 'LoadBalancer', port: 443, externalTrafficPolicy: 'Local', annotations: { 'example.com/lb': 'internal' } },
  ingress: { enabled: true, className: 'nginx', hosts: ['llm.example.com'], tlsSecret: 'llm-tls' },
  httpRoute: { enabled: true, parentRefs: [{ name: 'edge', namespace: 'gateways' }], hostnames: ['llm.example.com'] },
  networkPolicy: { enabled: true, adminFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }] },
  metrics: { serviceMonitor: { enabled: true, labels: { release: 'prometheus' } }, podMonitor: { enabled: true } },
};

/** Name of the golden file → what is rendered. */
export const renderings: Readonly<Record<string, Rendering>> = {
  default: { values: leastValues },
  everything: { values: everything },
  'redis-to-try': { values: { image: leastValues.image, redis: { enabled: true }, networkPolicy: { enabled: true } } },
  'single-proxy': { values: { image: leastValues.image, proxy: { replicas: 1 }, operator: { replicas: 1 } } },
  'namespace-mode': { values: { ...leastValues, watchNamespaces: ['team-a', 'team-b'], userRoles: { create: false } } },
  'namespace-mode-without-crd-check': {
    values: { ...leastValues, watchNamespaces: ['team-a'], userRoles: { create: false }, operator: { settings: { crdCheck: 'off' } } },
  },
  openshift: { values: { ...leastValues, openshift: { enabled: true } } },
  'crds-off': { values: { ...leastValues, crds: { enabled: false } } },
  elsewhere: {
    values: {
      ...leastValues,
      namespaceOverride: 'gateway',
      fullnameOverride: 'kw',
      snapshotNamespace: { name: 'kw-data', create: false },
      operator: { serviceAccount: { create: false, name: 'theirs' } },
    },
  },
};

/** CRDs are compared with crds/ elsewhere: in the golden files they would be most of the text. */
export function withoutSchemas(rendering: string): string {
  return rendering
    .split(/^---\n/m)
    .map((document) =>
      document.includes('\nkind: CustomResourceDefinition\n') ? document.replace(/^spec:\n[^]*$/m, 'spec: {} # as in crds/\n') : document,
    )
    .join('---\n');
}
