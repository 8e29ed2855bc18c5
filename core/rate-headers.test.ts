import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RateWindow, toRateHeaders } from './rate-headers.ts';

const nowMs = Date.UTC(2026, 10, 23, 12, 0, 0);
const rpm: RateWindow = { name: 'rpm', unit: 'requests', span: 'minute', limit: 60, remaining: 12, resetMs: 2500 };
const rpd: RateWindow = { name: 'rpd', unit: 'requests', span: 'day', limit: 1000, remaining: 3, resetMs: 360_000 };
const tpm: RateWindow = { name: 'tpm', unit: 'tokens', span: 'minute', limit: 9000, remaining: 8000, resetMs: 120 };

describe('toRateHeaders', () => {
  it('speaks as OpenAI does, and shows the tightest window of each unit', () => {
    expect(toRateHeaders([rpm, rpd, tpm], 'OpenAI', nowMs)).toEqual({
      'x-ratelimit-limit-requests': '1000',
      'x-ratelimit-remaining-requests': '3',
      'x-ratelimit-reset-requests': '6m0s',
      'x-ratelimit-limit-tokens': '9000',
      'x-ratelimit-remaining-tokens': '8000',
      'x-ratelimit-reset-tokens': '120ms',
      'ratelimit-policy': '"requests";q=1000;w=86400, "tokens";q=9000;w=60',
      ratelimit: '"requests";r=3;t=360, "tokens";r=8000;t=1',
    });
  });

  it('speaks as Anthropic does', () => {
    expect(toRateHeaders([rpm], 'Anthropic', nowMs)).toEqual({
      'anthropic-ratelimit-requests-limit': '60',
      'anthropic-ratelimit-requests-remaining': '12',
      'anthropic-ratelimit-requests-reset': '2026-11-23T12:00:03Z',
      'ratelimit-policy': '"requests";q=60;w=60',
      ratelimit: '"requests";r=12;t=3',
    });
  });

  it('gives Gemini the general ones only, and nothing where there is no limit', () => {
    expect(Object.keys(toRateHeaders([rpm, tpm], 'Gemini', nowMs))).toEqual(['ratelimit-policy', 'ratelimit']);
    expect(toRateHeaders([], 'OpenAI', nowMs)).toEqual({});
  });

  it.each([
    [0, '0s'],
    [1, '1ms'],
    [0.5, '1ms'],
    [999.5, '1000ms'],
    [1000, '1s'],
    [59_001, '1m0s'],
    [360_000, '6m0s'],
    [3_600_000, '1h0m0s'],
    [86_400_000, '24h0m0s'],
  ])('writes %s ms as OpenAI does: %s', (resetMs, text) => {
    expect(toRateHeaders([{ ...rpm, resetMs }], 'OpenAI', nowMs)['x-ratelimit-reset-requests']).toBe(text);
  });

  it('shows nothing negative after a limit was lowered, and the slower of two that are equally tight', () => {
    const over = { ...rpm, remaining: -5 };
    expect(toRateHeaders([over, { ...rpd, remaining: -5 }], 'OpenAI', nowMs)).toMatchObject({
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-limit-requests': '1000',
    });
  });

  it('is never early', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 86_400_000, noNaN: true }), (resetMs) => {
        const anthropic = toRateHeaders([{ ...rpm, resetMs }], 'Anthropic', nowMs);
        expect(Date.parse(anthropic['anthropic-ratelimit-requests-reset'] ?? '')).toBeGreaterThanOrEqual(nowMs + resetMs);
        expect(Number(anthropic['ratelimit']?.split('t=')[1]) * 1000).toBeGreaterThanOrEqual(resetMs);
      }),
    );
  });
});
