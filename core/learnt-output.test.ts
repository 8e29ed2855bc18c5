import fc from 'fast-check';
import { expect, it } from 'vitest';
import { learnOutput, makeLearntOutput, percentileOutput } from './learnt-output.ts';

function learn(answers: readonly number[]): number | undefined {
  const learnt = makeLearntOutput();
  for (const tokens of answers) learnOutput(learnt, tokens);
  return percentileOutput(learnt);
}

it('says nothing after a few answers', () => {
  expect(learn([])).toBeUndefined();
  expect(learn(Array<number>(9).fill(100))).toBeUndefined();
  expect(learn(Array<number>(10).fill(100))).toBe(128);
});

it('is the longest of nine tenths, whatever the rest does', () => {
  expect(learn([...Array<number>(90).fill(64), ...Array<number>(10).fill(100_000)])).toBe(64);
  expect(learn([...Array<number>(89).fill(64), ...Array<number>(11).fill(1024)])).toBe(1024);
});

it('is never below the true 90th percentile, and above it by at most the width of a step', () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 500_000 }), { minLength: 10, maxLength: 400 });
  fc.assert(
    fc.property(lengths, (answers) => {
      const exact = answers.toSorted((left, right) => left - right)[Math.ceil(answers.length * 0.9) - 1] ?? 0;
      const learnt = learn(answers) ?? Number.NaN;
      // whole tokens: the upper end of a step is rounded down, and no whole number lies between
      expect(learnt).toBeGreaterThanOrEqual(exact === 0 ? 1 : exact);
      expect(learnt).toBeLessThanOrEqual(Math.max(1, exact * Math.SQRT2));
    }),
  );
});

it('forgets how it was long ago', () => {
  const learnt = makeLearntOutput();
  for (let answer = 0; answer < 5_000; answer += 1) learnOutput(learnt, 10_000);
  for (let answer = 0; answer < 2_500; answer += 1) learnOutput(learnt, 30);
  expect(percentileOutput(learnt)).toBe(32);
});

it('takes any number', () => {
  expect(learn(Array<number>(20).fill(1e12))).toBe(Math.floor(2 ** 19.5));
});
