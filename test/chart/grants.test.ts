import { describe, expect, it } from 'vitest';
import { leastValues, renderObjects } from '../support/chart.ts';
import { type Grant, grantsInCluster, grantsInNamespaces } from './grants.ts';
import { readBoundRoles, toGrants } from './roles.ts';

describe('the rights that the chart renders', () => {
  it.each([
    { name: 'the whole cluster', values: leastValues, grants: grantsInCluster },
    { name: 'single namespaces', values: { ...leastValues, watchNamespaces: ['default'] }, grants: grantsInNamespaces },
  ])('are those of docs/rbac.md and no others: $name', async ({ values, grants }) => {
    const roles = readBoundRoles(await renderObjects({ values }));
    expect(roles.flatMap(toGrants).map(toText).toSorted()).toEqual(grants.map(toText).toSorted());
  });

  it('need no ClusterRole in single namespaces, if the CRDs are not checked', async () => {
    const values = {
      ...leastValues,
      watchNamespaces: ['default'],
      userRoles: { create: false },
      operator: { settings: { crdCheck: 'off' } },
    };
    expect((await renderObjects({ values })).filter(({ kind }) => kind.startsWith('ClusterRole'))).toEqual([]);
  });

  it('are none with rbac.create=false', async () => {
    expect(readBoundRoles(await renderObjects({ values: { ...leastValues, rbac: { create: false } } }))).toEqual([]);
  });
});

describe('the roles for people', () => {
  it('are part of the cluster’s roles as docs/rbac.md says; edit never is', async () => {
    const labels = (await renderObjects()).flatMap(({ kind, metadata }) =>
      kind === 'ClusterRole' && metadata.labels?.['app.kubernetes.io/component'] === 'access'
        ? [[metadata.name, Object.keys(metadata.labels).filter((label) => label.includes('/aggregate-to-'))] as const]
        : [],
    );
    expect(Object.fromEntries(labels)).toEqual({
      'keywright-view': ['rbac.authorization.k8s.io/aggregate-to-view'],
      'keywright-edit': [],
      'keywright-admin': ['rbac.authorization.k8s.io/aggregate-to-admin'],
    });
  });
});

function toText({ account, place, resource, verb, names }: Omit<Grant, 'test'>): string {
  return [account, place, resource, verb, ...(names ?? [])].join(' ');
}
