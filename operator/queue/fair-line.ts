/**
 * A waiting line in which groups take turns: of each group the oldest first, and no group waits for another's whole crowd. Here a group is a namespace: a tenant
 * who changes ten thousand keys must not delay another's revocation.
 */
export class FairLine<T> {
  readonly #groupOf: (item: string) => string;
  /** group → its items; Maps keep the order of arrival, and the first group is the next one's turn */
  readonly #groups = new Map<string, Map<string, T>>();
  #size = 0;

  constructor(groupOf: (item: string) => string) {
    this.#groupOf = groupOf;
  }

  get size(): number {
    return this.#size;
  }

  has(item: string): boolean {
    return this.#groups.get(this.#groupOf(item))?.has(item) === true;
  }

  /** how many of the item's group wait */
  sizeOfGroup(item: string): number {
    return this.#groups.get(this.#groupOf(item))?.size ?? 0;
  }

  /** at the end of its group's line; one that waits already keeps its place */
  add(item: string, value: T): void {
    const name = this.#groupOf(item);
    const group = this.#groups.get(name) ?? new Map<string, T>();
    if (group.has(item)) return;
    group.set(item, value);
    this.#groups.set(name, group);
    this.#size += 1;
  }

  /** Takes out this one; gives its value. */
  remove(item: string): T | undefined {
    const name = this.#groupOf(item);
    const group = this.#groups.get(name);
    const value = group?.get(item);
    if (group?.delete(item) !== true) return undefined;
    if (group.size === 0) this.#groups.delete(name);
    this.#size -= 1;
    return value;
  }

  /** `mayTake`: whether it can be a group's turn at present; one that it cannot be keeps its place */
  take(mayTake: (group: string) => boolean = () => true): readonly [item: string, value: T] | undefined {
    for (const [name, group] of this.#groups) {
      const [first] = group;
      if (first === undefined || !mayTake(name)) continue;
      this.#groups.delete(name);
      group.delete(first[0]);
      this.#size -= 1;
      // behind all groups that wait now
      if (group.size > 0) this.#groups.set(name, group);
      return first;
    }
    return undefined;
  }

  clear(): void {
    this.#groups.clear();
    this.#size = 0;
  }
}

/** `VirtualKey/namespace/name` → `namespace` */
export function toNamespaceOf(item: string): string {
  return item.split('/')[1] ?? '';
}
