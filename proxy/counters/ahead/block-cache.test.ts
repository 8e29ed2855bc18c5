import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { channelHolder } from '../../../core/hash-tag.ts';
import { type BlockCache, makeBlockCache } from './block-cache.ts';
import type { Admission, AdmitAnswer, Counters, LimitWindow } from '../counters.ts';
import { makeMemoryCounters } from '../memory.ts';

const window = (name: string, limit: number): LimitWindow => ({
  name,
  unit: name.startsWith('r') ? 'requests' : 'tokens',
  span: name.endsWith('d') ? 'day' : 'minute',
  limit,
  shadow: false,
});
const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };

let nowMs = 0;
let counters: Counters;
let blocks: BlockCache;
let number = 0;

beforeEach(start);

function start(): void {
  nowMs = 1_700_000_000_123;
  counters = makeMemoryCounters({ now: () => nowMs, random: () => 0 });
  blocks = makeBlockCache({ now: () => nowMs });
}

function request(windows: readonly LimitWindow[], rest: Partial<Admission> = {}): Admission {
  number += 1;
  return { requestId: `r${number}`, keyId: 'team/app', bearer, windows, tokens: 0, holdMs: 30_000, ...rest };
}

/** What the store says, remembered as a proxy does. */
async function ask(admission: Admission): Promise<AdmitAnswer> {
  const askedMs = nowMs;
  const answer = await counters.admit(admission);
  blocks.note(admission, answer, askedMs);
  return answer;
}

function settle(admission: Admission, tokens: number, refundRequest = false): void {
  const { requestId, keyId, windows } = admission;
  const settlement = { requestId, keyId, windows, tokens, concurrency: false, refundRequest };
  counters.settle(settlement);
  blocks.settled(settlement);
}

describe('the block cache', () => {
  it('does not take a Channel for the key of the same name', async () => {
    const windows = [window('rpm', 1)];
    await ask(request(windows));
    await ask(request(windows));
    const { bearer: _, ...ofChannel } = request(windows, { subject: 'channel' });
    expect(blocks.find(ofChannel)).toBeUndefined();
    expect(await ask(ofChannel)).toMatchObject({ outcome: 'admitted' });
    expect(blocks.find(request(windows))).toMatchObject({ outcome: 'refused' });
  });

  it('answers as the store would, to the millisecond, until the time that it told', async () => {
    const windows = [window('rpm', 1), window('tpm', 100)];
    await ask(request(windows));
    nowMs += 10_000;
    expect(blocks.find(request(windows))).toBeUndefined();
    await ask(request(windows));
    nowMs += 20_000;
    expect(blocks.find(request(windows))).toEqual(await counters.admit(request(windows)));
    expect(blocks.find(request(windows))).toMatchObject({ limitName: 'rpm', retryAfterMs: 30_001, timeMs: nowMs });
    nowMs += 30_000;
    expect(blocks.find(request(windows))).toMatchObject({ retryAfterMs: 1 });
    nowMs += 1;
    expect(blocks.find(request(windows))).toBeUndefined();
  });

  it('keeps a refusal of tokens or money for a second at most, and lets go of it with an own settlement', async () => {
    const windows = [window('tpm', 100)];
    const running = request(windows, { tokens: 90 });
    await ask(running);
    await ask(request(windows, { tokens: 20 }));
    expect(blocks.find(request(windows, { tokens: 20 }))).toMatchObject({ limitName: 'tpm' });
    nowMs += 1_000;
    expect(blocks.find(request(windows, { tokens: 20 }))).toBeUndefined();
    await ask(request(windows, { tokens: 20 }));
    settle(running, 10);
    expect(blocks.find(request(windows, { tokens: 20 }))).toBeUndefined();

    const money = { budgets: [{ period: 'Daily', limitNanoUsd: 10, shadow: false }], boundNanoUsd: 8, floorNanoUsd: 1 } as const;
    await ask(request([], { money }));
    expect((await ask(request([], { money }))).outcome).toBe('exhausted');
    expect(blocks.find(request([], { money }))).toMatchObject({ outcome: 'exhausted' });
    expect(blocks.find(request([], { money: { ...money, boundNanoUsd: 2 } }))).toBeUndefined();
    nowMs += 1_000;
    expect(blocks.find(request([], { money }))).toBeUndefined();
  });

  it('a refusal of requests stays through settlements, but not when a request was given back', async () => {
    const windows = [window('rpm', 2), window('rpd', 100)];
    const [first, second] = [request(windows), request(windows)];
    await ask(first);
    await ask(second);
    await ask(request(windows));
    settle(first, 7);
    expect(blocks.find(request(windows))).toBeDefined();
    settle(second, 0, true);
    expect(blocks.find(request(windows))).toBeUndefined();
  });

  it('lets go of what the store said before it knew of a settlement, also of what is still on its way', async () => {
    const windows = [window('tpm', 100), window('rpm', 100)];
    await ask(request(windows, { tokens: 90 }));
    const late = request(windows, { tokens: 20 });
    const askedMs = nowMs;
    const answer = await counters.admit(late);
    nowMs += 1;
    blocks.freed({ keyId: 'team/app', requests: false });
    blocks.note(late, answer, askedMs);
    expect(blocks.find(request(windows, { tokens: 20 }))).toBeUndefined();
    nowMs += 1;
    blocks.note(late, answer, nowMs);
    expect(blocks.find(request(windows, { tokens: 20 }))).toBeDefined();
    blocks.freed({ keyId: 'team/other', requests: true });
    expect(blocks.find(request(windows, { tokens: 20 }))).toBeDefined();
    blocks.freed({ keyId: 'team/app', requests: false });
    expect(blocks.find(request(windows, { tokens: 20 }))).toBeUndefined();
  });

  it('a refusal of requests alone is let go of only when requests were given back', async () => {
    const windows = [window('rpm', 1)];
    await ask(request(windows));
    await ask(request(windows));
    blocks.freed({ keyId: 'team/app', requests: false });
    expect(blocks.find(request(windows))).toBeDefined();
    blocks.freed({ keyId: 'team/app', requests: true });
    expect(blocks.find(request(windows))).toBeUndefined();
    const { bearer: _, ...ofChannel } = request(windows, { subject: 'channel' });
    await ask(ofChannel);
    await ask({ ...ofChannel, requestId: 'another' });
    nowMs += 1;
    blocks.freed({ keyId: 'team/app', requests: true });
    expect(blocks.find(ofChannel)).toBeDefined();
    blocks.freed({ keyId: channelHolder('team/app'), requests: true });
    expect(blocks.find(ofChannel)).toBeUndefined();
  });

  it('asks again after a minute, however far away a day window is', async () => {
    const windows = [window('rpd', 1)];
    await ask(request(windows));
    await ask(request(windows));
    nowMs += 59_999;
    expect(blocks.find(request(windows))).toEqual(await counters.admit(request(windows)));
    nowMs += 1;
    expect(blocks.find(request(windows))).toBeUndefined();
  });

  it('knows nothing of another amount, other windows, another key, another state of the key or another credential', async () => {
    const windows = [window('rpm', 1)];
    await ask(request(windows));
    await ask(request(windows));
    for (const other of [
      request([window('rpm', 2)]),
      request([window('rpm', 1), window('rpd', 9)]),
      request([{ ...window('rpm', 1), shadow: true }]),
      request(windows, { keyId: 'team/other' }),
      request(windows, { concurrency: { limit: 1, shadow: false } }),
    ]) {
      expect(blocks.find(other)).toBeUndefined();
      expect(blocks.find(request(windows))).toBeDefined();
    }
    expect(blocks.find(request(windows, { bearer: { ...bearer, gen: 6 } }))).toBeUndefined();
    await ask(request(windows));
    expect(blocks.find(request(windows, { bearer: { ...bearer, credentialId: 'bbbbbbbbbbbb' } }))).toBeUndefined();
    await ask(request(windows));
    blocks.forget('team/app');
    expect(blocks.find(request(windows))).toBeUndefined();
  });

  it('does not remember that too many requests are in flight, nor what a share of the limit refused', async () => {
    const concurrency = { limit: 1, shadow: false };
    await ask(request([], { concurrency }));
    expect((await ask(request([], { concurrency }))).outcome).toBe('refused');
    expect(blocks.find(request([], { concurrency }))).toBeUndefined();
    await ask(request([window('rpm', 1)]));
    const answer = await counters.admit(request([window('rpm', 1)]));
    if (answer.outcome === 'refused') blocks.note(request([window('rpm', 1)]), { ...answer, degraded: true }, nowMs);
    expect(blocks.find(request([window('rpm', 1)]))).toBeUndefined();
  });

  it('never says anything else than the store, whatever one proxy asks for', async () => {
    const windows = [window('rpm', 4), window('tpm', 100), window('rpd', 20), window('tpd', 400)];
    const steps = fc.array(
      fc.record({
        gap: fc.oneof(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 0, max: 30_000 })),
        tokens: fc.constantFrom(5, 5, 20, 60),
        settled: fc.option(fc.nat({ max: 60 })),
        refund: fc.boolean(),
      }),
      { minLength: 5, maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        start();
        let found = 0;
        let toldMs: number | undefined;
        const running: Admission[] = [];
        for (const { gap, tokens, settled, refund } of history) {
          nowMs += gap;
          const oldest = settled === null ? undefined : running.shift();
          if (oldest !== undefined) settle(oldest, settled ?? 0, refund);
          const admission = request(windows, { tokens });
          const blocked = blocks.find(admission);
          const answer = await ask(admission);
          if (answer.outcome === 'admitted') running.push(admission);
          if (blocked !== undefined) {
            found += 1;
            expectSame(blocked, answer, toldMs);
          }
          toldMs = answer.outcome === 'refused' ? answer.retryAfterMs : undefined;
        }
        fc.pre(found > 0);
      }),
      { numRuns: 300 },
    );
  });
});

/** `toldMs`: what the store said before; undefined: it has admitted something since, so that the wait may have become longer. */
function expectSame(blocked: AdmitAnswer, answer: AdmitAnswer, toldMs: number | undefined): void {
  expect([blocked.outcome, answer.outcome]).toEqual(['refused', 'refused']);
  if (answer.outcome !== 'refused' || blocked.outcome !== 'refused') return;
  expect(blocked.timeMs).toBe(answer.timeMs);
  if (toldMs === undefined) return;
  // a minute is the most that is told, however long it is: then what was told runs on, for tokens a second at most, for requests the true time is a millisecond longer
  const shortMs = toldMs < 60_000 ? 0 : answer.unit === 'tokens' ? 1_000 : 1;
  expect(blocked.limitName).toBe(answer.limitName);
  expect(answer.retryAfterMs - blocked.retryAfterMs).toBeGreaterThanOrEqual(0);
  expect(answer.retryAfterMs - blocked.retryAfterMs).toBeLessThanOrEqual(shortMs);
}
