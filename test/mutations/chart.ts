import type { Mutation } from './plant.ts';

export const chartMutations: readonly Mutation[] = [
  {
    id: 'operator-may-delete-secrets',
    bug: 'the operator may delete the Secrets of tenants',
    edits: [
      {
        file: 'charts/keywright/templates/_rbac.tpl',
        find: 'resources: [secrets]\n  verbs: [get, list, watch, create, update]\n{{ include',
        replace: 'resources: [secrets]\n  verbs: [get, list, watch, create, update, delete]\n{{ include',
      },
    ],
    test: {
      file: 'test/chart/grants.test.ts',
      name: 'the rights that the chart renders > are those of docs/rbac.md and no others: the whole cluster',
    },
  },
  {
    id: 'proxy-reads-everywhere',
    bug: 'the right of the proxies to Secrets is one of the whole cluster',
    edits: [
      {
        file: 'charts/keywright/templates/rbac.yaml',
        find: 'include "keywright.role" (merge (dict "name" (include "keywright.componentName" $proxy)',
        replace: 'include "keywright.clusterRole" (merge (dict "name" (include "keywright.componentName" $proxy)',
      },
    ],
    test: {
      file: 'test/chart/grants.test.ts',
      name: 'the rights that the chart renders > are those of docs/rbac.md and no others: single namespaces',
    },
  },
  {
    id: 'creating-keys-for-every-editor',
    bug: 'whoever has the cluster’s role edit may create VirtualKeys',
    edits: [
      {
        file: 'charts/keywright/templates/user-roles.yaml',
        find: 'name: {{ $name }}-edit\n  labels:\n',
        replace: 'name: {{ $name }}-edit\n  labels:\n    rbac.authorization.k8s.io/aggregate-to-edit: "true"\n',
      },
    ],
    test: {
      file: 'test/chart/grants.test.ts',
      name: 'the roles for people > are part of the cluster’s roles as docs/rbac.md says; edit never is',
    },
  },
  {
    id: 'crds-go-with-the-release',
    bug: 'uninstalling the release deletes the CRDs, and with them every key',
    edits: [{ file: 'charts/keywright/templates/crds/virtualkey.yaml', find: '    helm.sh/resource-policy: keep\n', replace: '' }],
    test: { file: 'test/chart/renderings.test.ts', name: 'the chart > gives the CRDs as they are, kept or not' },
  },
  {
    id: 'streams-cut-at-a-stop',
    bug: 'a pod is killed before its running requests had their time',
    edits: [
      {
        file: 'charts/keywright/templates/proxy.yaml',
        find: 'add $values.preStopSeconds (default 600 $values.settings.drainSeconds) 20',
        replace: 'add $values.preStopSeconds 20',
      },
    ],
    test: {
      file: 'test/chart/renderings.test.ts',
      name: 'the chart > waits for running streams: the grace period follows the time to drain',
    },
  },
  {
    id: 'password-in-a-deployment',
    bug: 'an address of Redis with a password is taken as a plain value',
    edits: [
      {
        file: 'charts/keywright/templates/_pods.tpl',
        find: '([+](sentinel|cluster))?://[^@]+$',
        replace: '([+](sentinel|cluster))?://.+$',
      },
    ],
    test: {
      file: 'test/chart/schema.test.ts',
      name: 'values are refused with what is wrong > {"redis":{"url":"redis://user:hunter2@h:6379"}}',
    },
  },
  {
    id: 'whole-program-in-the-proxy-image',
    bug: 'the image of the proxy holds the operator with the Kubernetes client',
    edits: [{ file: 'build/assemble.ts', find: "proxy: ['proxy']", replace: "proxy: ['proxy', 'operator']" }],
    test: {
      file: 'test/chart/images.test.ts',
      name: 'what is built > leaves no Kubernetes client in the image of the proxy, and nothing of the operator',
    },
  },
];
