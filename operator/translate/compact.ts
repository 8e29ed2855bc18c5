type Compact<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** The object without its undefined members, so that what is compared and what is written as JSON are the same. */
export function compact<T extends object>(object: T): Compact<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Compact<T>;
}
