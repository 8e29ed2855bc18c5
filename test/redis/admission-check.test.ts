import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { tagOf } from '../../core/hash-tag.ts';
import {
  overruling,
  parseRevocation,
  type Revocation,
  revocationsKey,
  toRevocationField,
  toRevocationValue,
} from '../../core/revocation.ts';
import type { Admission, AdmitAnswer, LimitWindow } from '../../proxy/counters/counters.ts';
import { makeRedisCounters } from '../../proxy/counters/redis.ts';
import type { SharedCounters } from '../../proxy/counters/shared-counters.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

let redis: TestRedis;
let counters: SharedCounters;
const metrics = makeMetrics();
const keyId = 'team/app';
const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
const windows: LimitWindow[] = [{ name: 'rpm', unit: 'requests', span: 'minute', limit: 1_000_000, shadow: false }];
let number = 0;

beforeAll(async () => {
  redis = await startRedis();
  const log = makeLog({ level: 'silent', name: 'test' });
  counters = makeRedisCounters({ url: redis.url, log, metrics, replicas: 1, now: Date.now, deadlineMs: 5_000 });
  await counters.ready(5_000);
});
afterAll(async () => {
  await counters.close();
  metrics.close();
  await redis.stop();
});
beforeEach(async () => void (await redis.cli('FLUSHALL')));

const of = (changes: Partial<Revocation> = {}): Revocation => ({ keyId, uid: 'one', gen: 6, state: 'Revoked', ended: [], ...changes });

async function put(...revocations: Revocation[]): Promise<void> {
  await redis.cli('DEL', revocationsKey(tagOf(keyId)));
  for (const revocation of revocations)
    await redis.cli('HSET', revocationsKey(tagOf(keyId)), toRevocationField(revocation), toRevocationValue(revocation));
}

async function admit(changes: Partial<Admission> = {}): Promise<AdmitAnswer> {
  number += 1;
  const concurrency = { limit: 1_000_000, shadow: false };
  const answer = await counters.admit({
    requestId: `r${number}`,
    keyId,
    bearer,
    windows,
    tokens: 0,
    holdMs: 30_000,
    concurrency,
    ...changes,
  });
  expect(counters.degraded).toBe(false);
  return answer;
}

describe('an admission in Redis', () => {
  it('is refused by what stands there, although nobody has told the proxy, and reserves nothing', async () => {
    await put(of(), of({ uid: '*', gen: 0 }));
    expect(await admit()).toEqual({
      outcome: 'overruled',
      timeMs: expect.any(Number),
      revocations: [of(), of({ uid: '*', gen: 0 })],
    });
    expect(await redis.cli('KEYS', 'kw:*')).toEqual([revocationsKey(tagOf(keyId))]);
  });

  it('goes on for another object, another key, an older entry and another credential', async () => {
    await put(
      of({ uid: 'former', state: 'Deleted' }),
      of({ keyId: 'team/other' }),
      of({ gen: 5, state: 'Suspended', ended: ['bbbbbbbbbbbb'] }),
    );
    expect((await admit()).outcome).toBe('admitted');
    expect((await admit({ bearer: { ...bearer, gen: 4 } })).outcome).toBe('overruled');
    expect((await admit({ bearer: { ...bearer, credentialId: 'bbbbbbbbbbbb' } })).outcome).toBe('overruled');
  });

  it('is refused exactly when the rules of core say so', async () => {
    const states = fc.constantFrom('Active' as const, 'Suspended' as const, 'Revoked' as const, 'Deleted' as const);
    const entry = fc.record({ gen: fc.integer({ min: 3, max: 12 }), state: states, ended: fc.subarray(['aaaaaaaaaaaa', 'bbbbbbbbbbbb']) });
    await fc.assert(
      fc.asyncProperty(entry, fc.integer({ min: 3, max: 12 }), fc.boolean(), async (changes, gen, named) => {
        const revocation = named ? of({ uid: '*', gen: 0 }) : of(changes);
        await put(revocation);
        // as readers get it
        const read = parseRevocation(toRevocationField(revocation), toRevocationValue(revocation));
        const wanted = read !== undefined && overruling(read, { uid: 'one', gen }, bearer.credentialId) !== undefined;
        const answer = await admit({ bearer: { ...bearer, gen } });
        expect(answer.outcome).toBe(wanted ? 'overruled' : 'admitted');
      }),
      { numRuns: 150 },
    );
  });

  it('is refused by nothing that cannot be read', async () => {
    for (const nonsense of ['', 'x', '5', '5 Frozen', 'Revoked', '-1 Suspended']) {
      await redis.cli('HSET', revocationsKey(tagOf(keyId)), toRevocationField(of()), nonsense);
      expect((await admit()).outcome).toBe('admitted');
    }
  });
});
