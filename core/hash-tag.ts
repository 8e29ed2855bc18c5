/** Redis Cluster places keys by the text in braces; all keys of a namespace have one tag, so that one node holds what one script needs. */
export const hashTags: readonly string[] = Array.from({ length: 64 }, (_, tag) => toTag(tag));

/** In no name of a VirtualKey or a namespace there is a colon. */
const channelPrefix = 'c:';

/** What a Channel's limits are counted under, where keys are counted under their ids. It is a tag of its own, since requests of every namespace are counted there. */
export function channelHolder(channelId: string): string {
  return `${channelPrefix}${channelId}`;
}

/** `00` to `3f` from the namespace (FNV-1a, 32 bit): a fixed number of tags, so that a cluster's slots can be planned, the same in every version. */
export function tagOf(keyId: string): string {
  if (keyId.startsWith(channelPrefix)) return keyId;
  const slash = keyId.indexOf('/');
  const end = slash < 0 ? keyId.length : slash;
  let hash = 0x811c9dc5;
  for (let position = 0; position < end; position += 1) hash = Math.imul(hash ^ keyId.charCodeAt(position), 0x01000193);
  return toTag((hash >>> 0) & 63);
}

function toTag(number: number): string {
  return number.toString(16).padStart(2, '0');
}
