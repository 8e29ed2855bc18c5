import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { runSteps, step } from './steps.ts';

export interface Proof {
  readonly interleavings: number;
  readonly writes: number;
  readonly keys: number;
}

/** Throws with a sequence of steps after which something does not hold; `shrinks`: with the shortest that can be found. */
export async function proveInterleavings(options: { runs: number; seed: number; shrinks: boolean }): Promise<Proof> {
  const sum = { interleavings: 0, writes: 0, keys: 0 };
  const steps = fc.array(step, { minLength: 3, maxLength: 25 });
  const holds = fc.asyncProperty(steps, async (taken) => {
    const { broken, writes, keys } = await runSteps(taken);
    sum.interleavings += 1;
    sum.writes += writes;
    sum.keys += keys;
    deepStrictEqual(broken, []);
  });
  await fc.assert(holds, { numRuns: options.runs, seed: options.seed, endOnFailure: !options.shrinks });
  return sum;
}
