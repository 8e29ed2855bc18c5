import type { ClusterObject, Kind, Reference, ReflectOptions } from '../cluster.ts';
import { kinds } from '../kinds.ts';

/** `/api/v1/namespaces/a/secrets`, `/apis/keywright.dev/v1alpha1/virtualkeys` */
export function toCollectionPath(kind: Kind, namespace?: string): string {
  const info = kinds[kind];
  const root = info.apiVersion.includes('/') ? `/apis/${info.apiVersion}` : `/api/${info.apiVersion}`;
  const place = info.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${place}/${info.plural}`;
}

/** The path of one object. A namespaced kind without a namespace is a bug and throws. */
export function toPath(reference: Reference): string {
  if (kinds[reference.kind].namespaced && reference.namespace === undefined) throw new TypeError(`a ${reference.kind} needs a namespace`);
  return `${toCollectionPath(reference.kind, reference.namespace)}/${encodeURIComponent(reference.name)}`;
}

/** How an error names it: `Secret a/b`. */
export function toSubject(reference: Reference): string {
  return `${reference.kind} ${reference.namespace === undefined ? '' : `${reference.namespace}/`}${reference.name}`;
}

/** What of a selection goes into the query. */
export function toSelectors(selection: Omit<ReflectOptions<ClusterObject>, 'onEvent'>): Record<string, string> {
  return {
    ...(selection.labelSelector === undefined ? {} : { labelSelector: selection.labelSelector }),
    ...(selection.fieldSelector === undefined ? {} : { fieldSelector: selection.fieldSelector }),
  };
}
