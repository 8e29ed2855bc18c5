import { describe, expect, it } from 'vitest';
import {
  beginBreakerProbe,
  type ChannelBreaker,
  closedBreaker,
  commonStateOf,
  recordAnswer,
  recordNoAnswer,
  stateOfBreaker,
  waitOfBreaker,
} from './channel-breaker.ts';

const rules = { failuresToOpen: 3, openMs: 1000, longestOpenMs: 1000 };
const fail = (breaker: ChannelBreaker, tenant: string | undefined, nowMs = 0): ChannelBreaker =>
  recordNoAnswer(breaker, { rules, isProbe: false, nowMs, tenant });
const failAll = (tenants: readonly (string | undefined)[]): ChannelBreaker =>
  tenants.reduce((breaker, tenant) => fail(breaker, tenant), closedBreaker);
const seen = (breaker: ChannelBreaker, nowMs = 0): readonly string[] => [
  stateOfBreaker(breaker, 'one', nowMs),
  stateOfBreaker(breaker, 'other', nowMs),
  commonStateOf(breaker, nowMs),
];

describe('the breaker of a channel', () => {
  it('is open for the one tenant whose requests fail, and for nobody else', () => {
    const breaker = failAll(['one', 'one', 'one']);
    expect(seen(breaker)).toEqual(['open', 'closed', 'closed']);
    expect([waitOfBreaker(breaker, 'one', 0), waitOfBreaker(breaker, 'other', 0)]).toEqual([1000, 0]);
  });

  it('is open for everybody when requests of several tenants fail, or when the request cannot be the reason', () => {
    expect(seen(failAll(['one', 'other', 'one']))).toEqual(['open', 'open', 'open']);
    expect(seen(failAll(['one', 'one', undefined]))).toEqual(['open', 'open', 'open']);
    expect(seen(failAll([undefined, undefined, undefined]))).toEqual(['open', 'open', 'open']);
  });

  it('spreads from one tenant to everybody with the first failure of another', () => {
    const breaker = fail(failAll(['one', 'one', 'one']), 'other', 400);
    expect(seen(breaker, 1300)).toEqual(['open', 'open', 'open']);
  });

  it('closes for the tenant when another one is answered, since the row is broken', () => {
    const breaker = recordAnswer(failAll(['one', 'one', 'one']), { tenant: 'other', isProbe: false });
    expect(seen(breaker)).toEqual(['closed', 'closed', 'closed']);
  });

  it('closes by a probe and not by an answer to what was sent before', () => {
    const breaker = beginBreakerProbe(failAll([undefined, undefined, undefined]), 5000);
    expect(seen(breaker, 1000)).toEqual(['probing', 'probing', 'probing']);
    expect(seen(recordAnswer(breaker, { tenant: 'one', isProbe: false }), 1000)).toEqual(['probing', 'probing', 'probing']);
    expect(seen(recordAnswer(breaker, { tenant: 'one', isProbe: true }), 1000)).toEqual(['closed', 'closed', 'closed']);
  });
});
