import type { Kind } from './cluster.ts';

export interface KindInfo {
  readonly apiVersion: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** written only through its own subresource; the main resource ignores it */
  readonly hasStatus: boolean;
  /** the API server counts changes of the spec */
  readonly hasGeneration: boolean;
}

/** How the API server treats each kind that the operator touches. */
export const kinds: Readonly<Record<Kind, KindInfo>> = {
  VirtualKey: { apiVersion: 'keywright.dev/v1alpha1', plural: 'virtualkeys', namespaced: true, hasStatus: true, hasGeneration: true },
  Channel: { apiVersion: 'keywright.dev/v1alpha1', plural: 'channels', namespaced: true, hasStatus: true, hasGeneration: true },
  Secret: { apiVersion: 'v1', plural: 'secrets', namespaced: true, hasStatus: false, hasGeneration: false },
  Namespace: { apiVersion: 'v1', plural: 'namespaces', namespaced: false, hasStatus: true, hasGeneration: false },
  Lease: { apiVersion: 'coordination.k8s.io/v1', plural: 'leases', namespaced: true, hasStatus: false, hasGeneration: false },
  CustomResourceDefinition: {
    apiVersion: 'apiextensions.k8s.io/v1',
    plural: 'customresourcedefinitions',
    namespaced: false,
    hasStatus: true,
    hasGeneration: true,
  },
};

/** The kind of an object; an object of a kind that we do not handle is a bug of the caller. */
export function kindOf(object: { readonly kind: string }): Kind {
  if (!Object.hasOwn(kinds, object.kind)) throw new TypeError(`the cluster does not handle the kind ${object.kind}`);
  return object.kind as Kind;
}
