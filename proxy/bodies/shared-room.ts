import { type BodyBudget, makeBodyBudget } from './body-budget.ts';

/** The room for bodies and held answers of one process, which the tenants of an installation share. */
export interface SharedRoom {
  /** this namespace's part of it */
  of(namespace: string): BodyBudget;
  readonly used: number;
}

/** A namespace may hold three times as much as it leaves free: a quarter always stays for others, and what is left of that for one more (Choudhury and Hahne, "Dynamic queue length thresholds"). */
const mostOfFree = 3;

/**
 * One tenant that sends or is sent a great deal takes no room from the others beyond its part. Whatever its part is, one body of the largest size is in it, so that what one request may need does not
 * depend on how much room there is for many.
 */
export function makeSharedRoom({ maxBytes, oneBodyBytes }: { readonly maxBytes: number; readonly oneBodyBytes: number }): SharedRoom {
  const all = makeBodyBudget(maxBytes);
  const held = new Map<string, number>();

  function add(namespace: string, bytes: number): void {
    const after = (held.get(namespace) ?? 0) + bytes;
    if (after > 0) held.set(namespace, after);
    else held.delete(namespace);
  }

  return {
    of: (namespace) => ({
      take(bytes) {
        const after = (held.get(namespace) ?? 0) + bytes;
        if (after > oneBodyBytes && after > mostOfFree * (maxBytes - all.used - bytes)) return false;
        if (!all.take(bytes)) return false;
        add(namespace, bytes);
        return true;
      },
      give(bytes) {
        all.give(bytes);
        add(namespace, -bytes);
      },
      get used() {
        return held.get(namespace) ?? 0;
      },
    }),
    get used() {
      return all.used;
    },
  };
}
