import { hashTags, tagOf } from './hash-tag.ts';

/** The Redis hash with the last use of retiring credentials, of all keys of one tag: field → milliseconds since 1970. */
export function lastUsedKey(tag: string): string {
  return `kw:{${tag}}:last-used`;
}

/** One credential of one key. */
export interface UsedCredential {
  readonly keyId: string;
  readonly credentialId: string;
}

export function toLastUsedField({ keyId, credentialId }: UsedCredential): string {
  return `${keyId} ${credentialId}`;
}

/** By the tag under which they stand, so that each tag is asked once. */
export function groupByTag<T extends { readonly keyId: string }>(items: readonly T[]): [tag: string, items: T[]][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const tag = tagOf(item.keyId);
    const group = groups.get(tag);
    if (group === undefined) groups.set(tag, [item]);
    else group.push(item);
  }
  return hashTags.flatMap((tag) => {
    const group = groups.get(tag);
    return group === undefined ? [] : [[tag, group] as [string, T[]]];
  });
}
