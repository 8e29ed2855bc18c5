import type { VirtualKey } from '../../core/resources.ts';

/**
 * Whether an edit ends something that was in force before: the key as a whole, for a time, or one of its hashes. Only a quick look, so that such an edit overtakes others in every queue; what it amounts to is decided
 * when it is worked on.
 */
export function isEndedByEdit(before: VirtualKey | undefined, after: VirtualKey): boolean {
  if (before === undefined) return false;
  const isOver = ({ metadata, spec }: VirtualKey): boolean =>
    metadata.deletionTimestamp !== undefined || spec.revoked === true || spec.suspended === true;
  if (isOver(after) && !isOver(before)) return true;
  if (after.spec.revoked === true && before.spec.revoked !== true) return true;
  const left = after.spec.credential?.hashes ?? [];
  return (before.spec.credential?.hashes ?? []).some(({ hash }) => !left.some((entry) => entry.hash === hash));
}
