import { mergeRevocations, type Revocation, toRevocationField } from '../../core/revocation.ts';
import type { RevocationBoard } from '../../operator/revocation/revocation-board.ts';

/** What stands for all, in memory; each operator has a board of its own over it. */
export interface SharedRevocations {
  readonly entries: Map<string, Revocation>;
  /** false: Redis is away for everybody */
  reachable: boolean;
  board(): RevocationBoard;
  /** as after an outage: whoever listens has to read anew */
  reconnect(): void;
}

export function makeSharedRevocations(): SharedRevocations {
  const told: ((revocation: Revocation) => void)[] = [];
  const connected: (() => void)[] = [];
  const reach = (): void => {
    if (!shared.reachable) throw new Error('Redis is away');
  };
  const shared: SharedRevocations = {
    entries: new Map(),
    reachable: true,
    reconnect() {
      shared.reachable = true;
      for (const listener of connected) listener();
    },
    board: () => ({
      get connected() {
        return shared.reachable;
      },
      async read() {
        reach();
        return [...shared.entries.values()];
      },
      async write(revocation) {
        reach();
        const field = toRevocationField(revocation);
        const before = shared.entries.get(field);
        const after = before === undefined ? revocation : mergeRevocations(before, revocation);
        shared.entries.set(field, after);
        for (const listener of told) listener(after);
        return after;
      },
      async remove(revocation) {
        reach();
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
