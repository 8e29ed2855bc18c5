import { describe, expect, it } from 'vitest';
import { proveInterleavings } from './prove.ts';
import { runSteps, type Step } from './steps.ts';

describe('any interleaving of users, time, crashes at any write, and two leaders of which one lags behind', () => {
  it('never delivers what is refused, never accepts what is planted, undelivered or over, and comes to rest', async () => {
    const proof = await proveInterleavings({ runs: 80, seed: 1, shrinks: false });
    expect(proof.interleavings).toBe(80);
    expect(proof.keys).toBeGreaterThan(80);
    process.stdout.write(`${proof.interleavings} interleavings, ${proof.writes} writes, ${proof.keys} keys delivered\n`);
  }, 120_000);

  it('answers no wish again that the other leader has answered while a key was made for it', async () => {
    const steps: Step[] = [
      { does: 'second' },
      { does: 'putBack' },
      { does: 'behind' },
      { does: 'trigger' },
      { does: 'suspend' },
      { does: 'resume' },
      { does: 'crash', writes: 2, arrives: true },
      { does: 'wait', ms: 660_000 },
    ];
    expect(await runSteps(steps)).toMatchObject({ broken: [], keys: 3 });
  });
});
