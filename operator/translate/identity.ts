import type { ResourceMeta } from '../../core/resources.ts';

export interface Identity {
  /** `namespace/name` */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
}

/** Who an object of the API server is. What the API server always sets is not optional here. */
export function identify({ metadata }: { readonly metadata: ResourceMeta }): Identity {
  const { namespace = '', name, uid = '', generation = 0 } = metadata;
  return { id: `${namespace}/${name}`, namespace, name, uid, generation };
}
