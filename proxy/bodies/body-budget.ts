/** How many bytes of request bodies this process holds at most. */
export interface BodyBudget {
  /** false when there is no room: nothing is taken then */
  take(bytes: number): boolean;
  give(bytes: number): void;
  readonly used: number;
}

export function makeBodyBudget(maxBytes: number): BodyBudget {
  let used = 0;
  return {
    take(bytes) {
      if (used + bytes > maxBytes) return false;
      used += bytes;
      return true;
    },
    give(bytes) {
      used -= bytes;
    },
    get used() {
      return used;
    },
  };
}
