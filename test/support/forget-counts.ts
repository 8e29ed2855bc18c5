interface Store {
  keys(): Promise<readonly string[]>;
  cli(...command: string[]): Promise<unknown>;
}

/** For a test that begins anew with the same proxy: nothing is counted any more, and no proxy takes that for a loss, because the lives of the tags stay. */
export async function forgetCounts({ keys, cli }: Store): Promise<void> {
  await Promise.all(toCounts(await keys()).map((key) => cli('DEL', key)));
}

/** Without the names of lives, which come by themselves at any moment, and without that a call was made, which is no state of the counters. */
export function toCounts(keys: readonly string[]): readonly string[] {
  return keys.filter((key) => !key.endsWith(':life') && !key.includes(':told:')).toSorted();
}
