import type { ChartObject } from '../support/chart.ts';
import type { Account, Grant, Place, Verb } from './grants.ts';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface Binding {
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects: readonly { readonly name: string }[];
}

/** A rendered role with whom it is bound to and where it counts. */
export interface BoundRole {
  readonly object: ChartObject;
  readonly account: Account;
  readonly place: Place;
  readonly namespace: string | undefined;
}

/** Roles and ClusterRoles that are bound to operator and proxies; fails when one is bound to anybody else. */
export function readBoundRoles(objects: readonly ChartObject[]): readonly BoundRole[] {
  return objects
    .filter(({ kind }) => kind === 'RoleBinding' || kind === 'ClusterRoleBinding')
    .map((binding) => {
      const { roleRef, subjects } = binding as unknown as Binding;
      const { namespace } = binding.metadata;
      const object = objects.find(
        ({ kind, metadata }) => kind === roleRef.kind && metadata.name === roleRef.name && metadata.namespace === namespace,
      );
      const account = /^keywright-(operator|proxy)$/.exec(subjects.length === 1 ? (subjects[0]?.name ?? '') : '')?.[1];
      if (object === undefined || account === undefined)
        throw new Error(`${binding.kind} ${binding.metadata.name} binds what it should not`);
      return { object, account: account as Account, place: toPlace(namespace), namespace };
    });
}

function toPlace(namespace: string | undefined): Place {
  if (namespace === undefined) return 'cluster';
  if (namespace === 'keywright-system') return 'system';
  return namespace === 'keywright-snapshot' ? 'snapshot' : 'tenant';
}

/** What a role grants, one verb on one resource each; the reason is not in a role. */
export function toGrants({ object, account, place }: BoundRole): Omit<Grant, 'test'>[] {
  return rulesOf(object).flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.map((verb) => ({
          account,
          place,
          resource: group === '' ? resource : `${group}/${resource}`,
          verb: verb as Verb,
          ...(resourceNames === undefined ? {} : { names: resourceNames }),
        })),
      ),
    ),
  );
}

/** The role without one verb on one resource; everything else it grants stays. */
export function withoutGrant(role: BoundRole, grant: Grant): ChartObject {
  const rules = toGrants(role)
    .filter(({ resource, verb }) => resource !== grant.resource || verb !== grant.verb)
    .map(({ resource, verb, names }) => {
      const [group, name] = resource.includes('/') && !isSubresource(resource) ? splitGroup(resource) : ['', resource];
      return { apiGroups: [group], resources: [name], verbs: [verb], ...(names === undefined ? {} : { resourceNames: names }) };
    });
  return { ...role.object, rules };
}

/** `pods/log` of the core group has a slash and no group */
function isSubresource(resource: string): boolean {
  return !(resource.split('/')[0] ?? '').includes('.');
}

function splitGroup(resource: string): [string, string] {
  const at = resource.indexOf('/');
  return [resource.slice(0, at), resource.slice(at + 1)];
}

function rulesOf(object: ChartObject): readonly Rule[] {
  return object['rules'] as readonly Rule[];
}
