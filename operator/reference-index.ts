import { MultiMap } from './credentials/multi-map.ts';

/** Who refers to what, both ways, so that a change of a Secret finds its users without a walk through all keys. */
export class ReferenceIndex {
  readonly #targets = new Map<string, readonly string[]>();
  readonly #users = new MultiMap();

  /** `user` refers to exactly these. */
  set(user: string, targets: readonly string[]): void {
    this.delete(user);
    if (targets.length === 0) return;
    this.#targets.set(user, targets);
    for (const target of targets) this.#users.add(target, user);
  }

  delete(user: string): void {
    for (const target of this.#targets.get(user) ?? []) this.#users.delete(target, user);
    this.#targets.delete(user);
  }

  usersOf(target: string): Iterable<string> {
    return this.#users.of(target);
  }
}
