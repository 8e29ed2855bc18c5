import { describe, expect, it } from 'vitest';
import { estimateInputTokens, estimateTokens } from './estimate.ts';

describe('estimates', () => {
  it.each([
    [0, 1],
    [1, 1],
    [4, 1],
    [5, 2],
    [4000, 1000],
  ])('%s bytes of prompt are %s tokens', (bytes, tokens) => expect(estimateInputTokens(bytes)).toBe(tokens));

  it.each([
    ['nothing is known', {}, 100 + 512],
    ['less is allowed', { maxOutputTokens: 50 }, 100 + 50],
    ['less is allowed for each of four', { maxOutputTokens: 50, choices: 4 }, 100 + 200],
    ['more is allowed', { maxOutputTokens: 8000 }, 100 + 512],
    ['experience says less', { maxOutputTokens: 8000, learntOutputTokens: 70 }, 100 + 70],
    ['experience says more', { maxOutputTokens: 8000, learntOutputTokens: 900 }, 100 + 900],
    ['no output can be', { maxOutputTokens: 0 }, 100],
  ])('when %s', (_what, known, tokens) => expect(estimateTokens({ promptBytes: 400, ...known })).toBe(tokens));
});
