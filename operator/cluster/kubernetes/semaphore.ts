/** At most `limit` tasks at once; the others wait in the order of their coming. */
export function makeSemaphore(limit: number): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = limit;

  return async (task) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await task();
    } finally {
      // A place goes straight to the next in the row, so that nobody overtakes it.
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}
