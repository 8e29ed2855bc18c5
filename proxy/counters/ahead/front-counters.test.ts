import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeMetrics, type Metrics } from '../../../runtime/metrics.ts';
import type { Admission, AdmitAnswer, Counters, LimitWindow } from '../counters.ts';
import { makeMemoryCounters } from '../memory.ts';
import type { SharedCounters } from '../shared-counters.ts';
import { type BlockCache, makeBlockCache } from './block-cache.ts';
import { makeFrontCounters } from './front-counters.ts';

const nowMs = 1_700_000_000_123;
const tpm: LimitWindow = { name: 'tpm', unit: 'tokens', span: 'minute', limit: 100, shadow: false };
let blocks: BlockCache;
let store: Counters;
let metrics: Metrics;
let asked: number;
/** happens in the store right behind its decision; its reply is here first, since it is on another connection */
let meanwhile: () => void;
let front: SharedCounters;

beforeEach(() => {
  store = makeMemoryCounters({ now: () => nowMs, random: () => 0 });
  blocks = makeBlockCache({ now: () => nowMs });
  metrics = makeMetrics();
  asked = 0;
  meanwhile = () => {};
  const shared: SharedCounters = {
    ...store,
    degraded: false,
    decides: () => true,
    take: () => undefined,
    hasten: () => undefined,
    ready: async () => {},
    budgets: { asked: () => {}, reset: () => {} },
    async admit(admission): Promise<AdmitAnswer> {
      asked += 1;
      const answer = await store.admit(admission);
      meanwhile();
      return answer;
    },
  };
  front = makeFrontCounters({ shared, blocks, metrics });
});
afterEach(() => metrics.close());

function request(requestId: string): Admission {
  return { requestId, keyId: 'team/app', windows: [tpm], tokens: 90, holdMs: 30_000 };
}

it('asks once more where the end of the former request was told behind the decision, and known before it', async () => {
  const former = request('former');
  await front.admit(former);
  meanwhile = () => {
    const { requestId, keyId, windows } = former;
    store.settle({ requestId, keyId, windows, tokens: 1, concurrency: false, refundRequest: false });
    blocks.freed({ keyId, requests: false });
    meanwhile = () => {};
  };
  expect(await front.admit(request('next'))).toMatchObject({ outcome: 'admitted' });
  expect(asked).toBe(3);
});

it('asks no more where nothing was given back', async () => {
  await front.admit(request('former'));
  blocks.freed({ keyId: 'team/other', requests: true });
  expect(await front.admit(request('next'))).toMatchObject({ outcome: 'refused' });
  expect(asked).toBe(2);
});
