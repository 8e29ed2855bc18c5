import { describe, expect, it } from 'vitest';
import { estimateInputTokens, estimateTokens, type Prompt } from './estimate.ts';

const empty: Prompt = { textBytes: 0, tokens: 0, images: 0, audios: 0, audioBytes: 0, files: 0, fileBytes: 0 };

describe('estimates', () => {
  it.each([
    [0, 1],
    [1, 1],
    [4, 1],
    [5, 2],
    [4000, 1000],
  ])('%s bytes of prompt are %s tokens', (textBytes, tokens) => expect(estimateInputTokens({ ...empty, textBytes })).toBe(tokens));

  it.each<[string, Partial<Prompt>, number]>([
    ['tokens are tokens', { tokens: 300 }, 300],
    ['an image costs the same whatever it weighs', { images: 2 }, 2000],
    ['audio that is only pointed to has a floor', { audios: 2 }, 200],
    ['audio goes by its bytes', { audios: 1, audioBytes: 1_000_001 }, 2001],
    ['a file that is only pointed to has a floor', { files: 1 }, 1500],
    ['a file goes by its bytes', { files: 1, fileBytes: 100_000 }, 5000],
    ['all of it adds up', { textBytes: 8, tokens: 1, images: 1, audios: 1, files: 1 }, 2 + 1 + 1000 + 100 + 1500],
  ])('%s', (_what, prompt, tokens) => expect(estimateInputTokens({ ...empty, ...prompt })).toBe(tokens));

  it.each([
    ['nothing is known', {}, 100 + 512],
    ['less is allowed', { maxOutputTokens: 50 }, 100 + 50],
    ['less is allowed for each of four', { maxOutputTokens: 50, choices: 4 }, 100 + 200],
    ['more is allowed', { maxOutputTokens: 8000 }, 100 + 512],
    ['experience says less', { maxOutputTokens: 8000, learntOutputTokens: 70 }, 100 + 70],
    ['experience says more', { maxOutputTokens: 8000, learntOutputTokens: 900 }, 100 + 900],
    ['experience says more than is allowed', { maxOutputTokens: 80, learntOutputTokens: 900 }, 100 + 80],
    ['no output can be', { maxOutputTokens: 0 }, 100],
  ])('when %s', (_what, known, tokens) => expect(estimateTokens({ inputTokens: 100, ...known })).toBe(tokens));
});
