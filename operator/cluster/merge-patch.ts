/**
 * The JSON merge patch (RFC 7386) that turns `before` into `after`; undefined when they are equal.
 * Lists and scalars are replaced whole; a member that is missing from `after` becomes null, which deletes it.
 */
export function toMergePatch(before: unknown, after: unknown): unknown {
  if (!isRecord(before) || !isRecord(after)) return isSame(before, after) ? undefined : after;
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(after)) {
    const change = toMergePatch(before[name], value);
    if (change !== undefined) patch[name] = change;
  }
  for (const name of Object.keys(before)) {
    if (before[name] !== undefined && after[name] === undefined) patch[name] = null;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** `target` after the patch (RFC 7386, section 2). */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = applyMergePatch(result[name], value);
  }
  return result;
}

function isSame(left: unknown, right: unknown): boolean {
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, index) => isSame(item, right[index]));
  }
  if (isRecord(left) && isRecord(right)) return toMergePatch(left, right) === undefined;
  return left === right;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
