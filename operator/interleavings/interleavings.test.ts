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

  it('removes no key that the other leader has noted while the answer to a question was on its way', async () => {
    const steps: Step[] = [
      { does: 'crash', writes: 5, arrives: true },
      { does: 'trigger' },
      { does: 'wait', ms: 5_000 },
      { does: 'putBack' },
      { does: 'wait', ms: 100 },
      { does: 'second' },
      { does: 'behind' },
      { does: 'putBack' },
      { does: 'bring', who: 'i', which: [] },
      { does: 'bring', who: 'h', which: [] },
      { does: 'annotate', option: ';overlap=0s' },
      { does: 'trigger' },
      { does: 'annotate', option: ';overlap=x' },
      { does: 'wait', ms: 3_500 },
    ];
    expect((await runSteps(steps)).broken).toEqual([]);
  });
});
