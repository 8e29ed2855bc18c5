const group = 'keywright.dev';
const kinds = ['virtualkey', 'channel'];
/** So many slips of the pen still make it ours. */
const mostSlips = 3;
const mostKindSlips = 2;

/**
 * Whether a document is for Keywright, or was hardly meant for anything else. A folder of a GitOps repository holds much that is not: other kinds, also of the same name, and the
 * instructions and values of tools, which may have neither apiVersion nor kind nor name. What looks like ours with a slip in it is ours, so that the slip is told.
 */
export function looksLikeOurs(value: unknown): boolean {
  // a patch, a list of values: of any tool
  if (Array.isArray(value)) return value.some((item) => typeof item === 'object' && item !== null && looksLikeOurs(item));
  // a mere word is nobody's
  if (typeof value !== 'object' || value === null) return true;
  const { apiVersion, kind, metadata, items } = value as { apiVersion?: unknown; kind?: unknown; metadata?: unknown; items?: unknown };
  const ownGroup = toGroup(apiVersion);
  if (ownGroup !== undefined && isNear(ownGroup, group, mostSlips)) return true;
  if (kind === 'List' || kind === 'SecretList') return Array.isArray(items);
  if (typeof kind === 'string' && kind !== '') return isOurKind(kind, apiVersion);
  // an object whose type was forgotten; of what names some other type nothing is known
  return toText(apiVersion) === undefined && typeof metadata === 'object' && metadata !== null;
}

/** There are other groups with a kind Channel, but none that anybody would know with a VirtualKey. */
function isOurKind(kind: string, apiVersion: unknown): boolean {
  if (kind === 'Secret') return apiVersion === 'v1' || toText(apiVersion) === undefined;
  const word = kind.toLowerCase().replace(/list$/, '').replace(/s$/, '');
  if (isNear(word, 'virtualkey', mostKindSlips)) return true;
  return kinds.includes(word) && toGroup(apiVersion) === undefined;
}

function toGroup(apiVersion: unknown): string | undefined {
  const slash = toText(apiVersion)?.indexOf('/') ?? -1;
  return slash < 0 ? undefined : toText(apiVersion)?.slice(0, slash).toLowerCase();
}

function toText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** By letters put in, left out or changed. */
function isNear(word: string, wanted: string, most: number): boolean {
  if (word.includes(wanted)) return true;
  if (Math.abs(word.length - wanted.length) > most) return false;
  let row = Array.from({ length: wanted.length + 1 }, (_, position) => position);
  for (const [index, letter] of word.split('').entries()) {
    const next = [index + 1];
    for (const [position, other] of wanted.split('').entries()) {
      const changed = (row[position] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(changed, (row[position + 1] ?? 0) + 1, (next[position] ?? 0) + 1));
    }
    row = next;
  }
  return (row.at(-1) ?? most + 1) <= most;
}
