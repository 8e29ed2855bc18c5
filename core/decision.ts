import type { Refusal } from './refusals.ts';

/** One small rule: a refusal, or undefined when it has nothing against the subject. */
export type Check<T> = (subject: T) => Refusal | undefined;

/** Runs the checks in order and gives the first refusal. The list is the specification: its order decides which refusal a client sees. */
export function firstRefusal<T>(checks: readonly Check<T>[], subject: T): Refusal | undefined {
  for (const check of checks) {
    const refusal = check(subject);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}
