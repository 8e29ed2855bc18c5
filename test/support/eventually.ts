import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Tries until `attempt` gives something truthy without throwing, and gives that. For what happens in other processes; the limit is only there so that a test which
 * waits in vain ends, it is no measurement. Fails with the last attempt's error or value.
 */
export async function eventually<T>(attempt: () => Promise<T> | T, { withinMs = 45_000, everyMs = 50 } = {}): Promise<NonNullable<T>> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    let trouble: unknown;
    try {
      const value = await attempt();
      if (value) return value;
      trouble = `the last value was ${String(value)}`;
    } catch (error) {
      trouble = error;
    }
    if (performance.now() >= deadline)
      throw new Error(`not within ${withinMs} ms: ${trouble instanceof Error ? trouble.message : String(trouble)}`, { cause: trouble });
    await sleep(everyMs);
  }
}

/** Tries until `check` passes without throwing. */
export async function untilHolds(check: () => unknown, options?: { withinMs?: number; everyMs?: number }): Promise<void> {
  await eventually(async () => {
    await check();
    return true;
  }, options);
}
