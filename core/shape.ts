import { isObject } from './json.ts';
/**
 * A small strict reader of untrusted JSON. A reader gives the typed value or a `Flaw`; nothing is thrown. The path of a flaw is put together
 * on the way out only, because documents of many thousand records are read whole and are nearly always right.
 */
export type Reader<T> = (value: unknown) => T | Flaw;

/** What is wrong and where; never holds the value, which may be a credential. */
export class Flaw {
  readonly #wanted: string;
  #path = '';

  constructor(wanted: string) {
    this.#wanted = wanted;
  }

  /** The same flaw, seen from one step further out. */
  under(step: string): this {
    this.#path = step + this.#path;
    return this;
  }

  toString(): string {
    return `$${this.#path}: must be ${this.#wanted}`;
  }
}

/** Runs a reader; gives its value, or where and what is wrong. */
export function readShape<T>(reader: Reader<T>, value: unknown): { ok: true; value: T } | { ok: false; message: string } {
  const read = reader(value);
  return read instanceof Flaw ? { ok: false, message: read.toString() } : { ok: true, value: read };
}

/** A string, optionally of a form; `wanted` says the form in words. */
export function text(pattern?: RegExp, wanted = 'a string'): Reader<string> {
  return (value) => (typeof value === 'string' && (pattern === undefined || pattern.test(value)) ? value : new Flaw(wanted));
}

/** An integer that a double holds exactly. */
export function integer(minimum = 0): Reader<number> {
  return (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= minimum ? value : new Flaw(`an integer from ${minimum}`);
}

/** One of these values and no other: an unknown word of a newer writer must not be guessed at. */
export function oneOf<const T extends string>(...allowed: readonly T[]): Reader<T> {
  return (value) => allowed.find((each) => each === value) ?? new Flaw(`one of ${allowed.join(', ')}`);
}

/** A list whose items all have one shape. */
export function list<T>(item: Reader<T>): Reader<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) return new Flaw('a list');
    const items: T[] = [];
    for (const [index, each] of value.entries()) {
      const read = item(each);
      if (read instanceof Flaw) return read.under(`[${index}]`);
      items.push(read);
    }
    return items;
  };
}

/** An object with names of the writer's choice and values of one shape. */
export function map<T>(item: Reader<T>): Reader<Readonly<Record<string, T>>> {
  return (value) => {
    if (!isObject(value)) return new Flaw('an object');
    const entries: [string, T][] = [];
    for (const [name, each] of Object.entries(value)) {
      const read = item(each);
      if (read instanceof Flaw) return read.under(`.${name}`);
      entries.push([name, read]);
    }
    // Not by assignment: a name like __proto__ would change the object instead of becoming an entry.
    return Object.fromEntries(entries);
  };
}

/** A field that may be absent. Its own type, so that `object` can leave it out instead of setting undefined. */
export interface Optional<T> {
  readonly optional: Reader<T>;
}

/** Marks a field of `object` as one that may be absent (null is not absent). */
export function optional<T>(reader: Reader<T>): Optional<T> {
  return { optional: reader };
}

type Fields<T> = { readonly [K in keyof T]-?: undefined extends T[K] ? Optional<Exclude<T[K], undefined>> : Reader<T[K]> };

/**
 * An object with these fields. Others are let be and left out: a newer writer may add what an older reader need not know.
 * The type makes the table complete: a field of T that is missing here, or optional in one place only, does not compile.
 */
export function object<T extends object>(fields: Fields<T>): Reader<T> {
  const known = Object.entries<Reader<unknown> | Optional<unknown>>(fields);
  return (value) => {
    if (!isObject(value)) return new Flaw('an object');
    const result: Record<string, unknown> = {};
    for (const [name, field] of known) {
      const given = Object.hasOwn(value, name) ? value[name] : undefined;
      const required = typeof field === 'function';
      if (given === undefined && !required) continue;
      const read = required ? field(given) : field.optional(given);
      if (read instanceof Flaw) return read.under(`.${name}`);
      result[name] = read;
    }
    return result as T;
  };
}
