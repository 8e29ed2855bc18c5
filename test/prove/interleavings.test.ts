import { expect, it } from 'vitest';
import { proveInterleavings } from '../../operator/interleavings/prove.ts';

const runs = Number(process.env['KEYWRIGHT_INTERLEAVINGS'] ?? 5_000);
/** another one each day; a failure prints it */
const seed = Number(process.env['KEYWRIGHT_SEED'] ?? Math.floor(Date.now() / 86_400_000));

it(`${runs} interleavings of users, time, crashes and two leaders hold`, async () => {
  const proof = await proveInterleavings({ runs, seed, shrinks: false });
  expect(proof.interleavings).toBe(runs);
  process.stdout.write(`${proof.interleavings} interleavings, ${proof.writes} writes, ${proof.keys} keys delivered (seed ${seed})\n`);
}, 10_800_000);
