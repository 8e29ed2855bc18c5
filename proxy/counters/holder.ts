import { channelHolder } from '../../core/hash-tag.ts';

/** With the id that the store counts under in place of the key's or Channel's own, so that a key and a Channel of one name do not share counts. */
export function withHolder<T extends { readonly keyId: string; readonly subject?: 'channel' }>(asked: T): T {
  return asked.subject === 'channel' ? { ...asked, keyId: channelHolder(asked.keyId) } : asked;
}
