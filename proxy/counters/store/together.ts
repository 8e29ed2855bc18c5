interface Options<T, R> {
  /** only what has the same group goes together */
  readonly groupOf: (item: T) => string;
  /** more than so many go in several calls */
  readonly most: number;
  /** gives a result for each, in order; never rejects */
  readonly send: (items: readonly T[]) => Promise<readonly R[]>;
}

interface Waiting<T, R> {
  readonly item: T;
  readonly resolve: (result: R | undefined) => void;
}

/**
 * Sends what is asked for within one turn of the event loop in one call per group. The turn ends with its check phase, after everything that the sockets had to say was read;
 * nobody waits longer than for that. `undefined` where the call gave no result.
 */
export function makeTogether<T, R>({ groupOf, most, send }: Options<T, R>): (item: T) => Promise<R | undefined> {
  const groups = new Map<string, Waiting<T, R>[]>();
  let scheduled = false;

  const sendGroup = async (group: readonly Waiting<T, R>[]): Promise<void> => {
    const results = await send(group.map(({ item }) => item));
    for (const [position, { resolve }] of group.entries()) resolve(results[position]);
  };
  const sendAll = (): void => {
    scheduled = false;
    const waiting = [...groups.values()];
    groups.clear();
    for (const group of waiting) {
      for (let start = 0; start < group.length; start += most) void sendGroup(group.slice(start, start + most));
    }
  };
  return (item) =>
    new Promise((resolve) => {
      const name = groupOf(item);
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [{ item, resolve }]);
      else group.push({ item, resolve });
      if (scheduled) return;
      scheduled = true;
      setImmediate(sendAll);
    });
}
