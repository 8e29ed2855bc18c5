/** Who refers to what, both ways, so that a change of a Secret finds its users without a walk through all keys. */
export class ReferenceIndex {
  readonly #targets = new Map<string, readonly string[]>();
  readonly #users = new Map<string, Set<string>>();

  /** `user` refers to exactly these. */
  set(user: string, targets: readonly string[]): void {
    this.delete(user);
    if (targets.length === 0) return;
    this.#targets.set(user, targets);
    for (const target of targets) {
      const users = this.#users.get(target);
      if (users === undefined) this.#users.set(target, new Set([user]));
      else users.add(user);
    }
  }

  delete(user: string): void {
    for (const target of this.#targets.get(user) ?? []) {
      const users = this.#users.get(target);
      users?.delete(user);
      if (users?.size === 0) this.#users.delete(target);
    }
    this.#targets.delete(user);
  }

  usersOf(target: string): Iterable<string> {
    return this.#users.get(target) ?? [];
  }
}
