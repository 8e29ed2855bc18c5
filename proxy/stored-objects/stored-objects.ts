import type { KeyRecord } from '../../core/snapshot.ts';

/** Whose objects: a VirtualKey that is made anew under the same name is another owner. */
export interface ObjectOwner {
  /** `namespace/name`, which tells where in a cluster of stores its objects are */
  readonly keyId: string;
  readonly uid: string;
}

/** Whose the objects of this key's requests are. */
export function toOwner({ id, uid }: Pick<KeyRecord, 'id' | 'uid'>): ObjectOwner {
  return { keyId: id, uid };
}

/** The account that keeps an object. */
export interface ObjectPlace {
  readonly channelId: string;
  /** its name in the Channel; `''` = the upstream needs none. Its secret may be renewed, the account stays */
  readonly credential: string;
  /** of a response: what one that goes on with it reads at most, in tokens, once that is known */
  readonly tokens?: number;
}

export type FoundPlaces =
  /** in the order of the question; undefined: no such object of this owner */
  { readonly outcome: 'known'; readonly places: readonly (ObjectPlace | undefined)[] } | { readonly outcome: 'unavailable' };

/**
 * Which objects that providers keep (responses, the items in them) were shown to which key. Two implementations (memory, Redis) pass one contract suite (`contract.ts`). Nothing here rejects.
 */
export interface StoredObjects {
  /** could be noted now, as far as is known without asking */
  readonly ready: boolean;
  /** true as soon as every one of the ids would be found; they are for 30 days */
  note(owner: ObjectOwner, ids: readonly string[], place: ObjectPlace): Promise<boolean>;
  find(owner: ObjectOwner, ids: readonly string[]): Promise<FoundPlaces>;
  /** from then on they are unknown; false: perhaps not, and then they will be in time */
  forget(owner: ObjectOwner, ids: readonly string[]): Promise<boolean>;
}

/** As long as OpenAI keeps a response. Source: OpenAI, "Your data", "Application state retention". */
export const keptForMs = 30 * 86_400_000;
