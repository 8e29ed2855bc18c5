import { hashTags, tagOf } from '../../core/hash-tag.ts';
import { mergeRevocations, type Revocation, toRevocationField } from '../../core/revocation.ts';
import type { RevocationBoard } from '../../operator/revocation/revocation-board.ts';

/** What stands for all, in memory; each operator has a board of its own over it. */
export interface SharedRevocations {
  readonly entries: Map<string, Revocation>;
  /** false: Redis is away for everybody */
  reachable: boolean;
  /** of a Redis Cluster the part that is away for everybody */
  readonly silentTags: Set<string>;
  board(): RevocationBoard;
  /** as after an outage: whoever listens has to read anew */
  reconnect(): void;
}

export function makeSharedRevocations(): SharedRevocations {
  const told: ((revocation: Revocation) => void)[] = [];
  const connected: (() => void)[] = [];
  const reach = ({ keyId }: Revocation): void => {
    if (!shared.reachable || shared.silentTags.has(tagOf(keyId))) throw new Error('Redis is away');
  };
  const shared: SharedRevocations = {
    entries: new Map(),
    reachable: true,
    silentTags: new Set(),
    reconnect() {
      shared.reachable = true;
      for (const listener of connected) listener();
    },
    board: () => ({
      get connected() {
        return shared.reachable;
      },
      async read() {
        const standing = [...shared.entries.values()].filter(({ keyId }) => !shared.silentTags.has(tagOf(keyId)));
        return { standing, unread: shared.reachable ? new Set(shared.silentTags) : new Set(hashTags) };
      },
      async write(revocation) {
        reach(revocation);
        const field = toRevocationField(revocation);
        const before = shared.entries.get(field);
        const after = before === undefined ? revocation : mergeRevocations(before, revocation);
        shared.entries.set(field, after);
        for (const listener of told) listener(after);
        return after;
      },
      async remove(revocation) {
        reach(revocation);
        const field = toRevocationField(revocation);
        const isSame = JSON.stringify(shared.entries.get(field)) === JSON.stringify(revocation);
        if (isSame) shared.entries.delete(field);
        return isSame;
      },
      onTold: (listener) => void told.push(listener),
      onConnected(listener) {
        connected.push(listener);
        if (shared.reachable) queueMicrotask(listener);
      },
    }),
  };
  return shared;
}
