import { describe, expect, it } from 'vitest';
import { proveInterleavings } from './prove.ts';

describe('any interleaving of users, time, crashes at any write, and two leaders of which one lags behind', () => {
  it('never delivers what is refused, never accepts what is planted, undelivered or over, and comes to rest', async () => {
    const proof = await proveInterleavings({ runs: 80, seed: 1, shrinks: false });
    expect(proof.interleavings).toBe(80);
    expect(proof.keys).toBeGreaterThan(80);
    process.stdout.write(`${proof.interleavings} interleavings, ${proof.writes} writes, ${proof.keys} keys delivered\n`);
  }, 120_000);
});
