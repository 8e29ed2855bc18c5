/**
 * Names to the values of each, for where nearly every name has one value: then no set is made for it, which alone takes 200 bytes, and with 20,000 keys there are a
 * hundred thousand names.
 */
export class MultiMap {
  readonly #values = new Map<string, string | Set<string>>();

  add(name: string, value: string): void {
    const known = this.#values.get(name);
    if (known === undefined) this.#values.set(name, value);
    else if (typeof known !== 'string') known.add(value);
    else if (known !== value) this.#values.set(name, new Set([known, value]));
  }

  delete(name: string, value: string): void {
    const known = this.#values.get(name);
    if (known === value) this.#values.delete(name);
    else if (known instanceof Set && known.delete(value) && known.size === 0) this.#values.delete(name);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  of(name: string): Iterable<string> {
    const known = this.#values.get(name);
    return known === undefined ? [] : typeof known === 'string' ? [known] : known;
  }

  names(): Iterable<string> {
    return this.#values.keys();
  }
}
