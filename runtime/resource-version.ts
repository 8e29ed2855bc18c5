/**
 * Whether a resource version is newer than another. API servers count them up, decimal integers of any length (KEP-5504); of versions that are no numbers only
 * difference is known, and whatever is different counts as news.
 */
export function isNewerVersion(version: string, than: string): boolean {
  if (!isNumber(version) || !isNumber(than)) return version !== than;
  return version.length === than.length ? version > than : version.length > than.length;
}

/**
 * Whether a bookmark tells that the server lives in another, younger history than the one we watch: it promises that everything up to its version was told, and
 * that must not lie before where we began. So a store looks that was restored from a backup.
 */
export function liesBefore(bookmark: string, begin: string): boolean {
  return isNumber(bookmark) && isNumber(begin) && isNewerVersion(begin, bookmark);
}

function isNumber(version: string): boolean {
  return /^\d+$/.test(version);
}
