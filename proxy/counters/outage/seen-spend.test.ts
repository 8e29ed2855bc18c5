import { expect, it } from 'vitest';
import { makeSeenSpend } from './seen-spend.ts';

const start = Date.parse('2026-11-27T12:00:00Z');

it('keeps the highest of what was seen, because answers overtake each other', () => {
  const seen = makeSeenSpend({ now: () => start });
  for (const spent of [100, 300, 200]) seen.note('n/k', 'T0', spent);
  expect([...seen.of('n/k')]).toEqual([['T0', 300]]);
});

it('lets go of the highest when nothing has confirmed it for a while: it was taken back', () => {
  let nowMs = start;
  const seen = makeSeenSpend({ now: () => nowMs });
  seen.note('n/k', 'T0', 300);
  nowMs += 6_000;
  seen.note('n/k', 'T0', 200);
  expect(seen.of('n/k').get('T0')).toBe(200);
});

it('tells nothing of windows that are over, nor of what was reset', () => {
  let nowMs = start;
  const seen = makeSeenSpend({ now: () => nowMs });
  for (const field of ['D20784', 'W2969', 'M24322', 'T0']) seen.note('n/k', field, 5);
  nowMs += 2 * 86_400_000;
  expect([...seen.of('n/k').keys()]).toEqual(['W2969', 'M24322', 'T0']);
  seen.forget({ keyId: 'n/k', windows: ['T0', 'M24322'] });
  expect([...seen.of('n/k').keys()]).toEqual(['W2969']);
  expect(seen.of('n/other').size).toBe(0);
});

it('is bounded: the key that was seen longest ago goes first', () => {
  const seen = makeSeenSpend({ now: () => start, most: 2 });
  for (const keyId of ['n/a', 'n/b', 'n/a', 'n/c']) seen.note(keyId, 'T0', 1);
  expect(['n/a', 'n/b', 'n/c'].map((keyId) => seen.of(keyId).size)).toEqual([1, 0, 1]);
  expect(seen.size).toBe(2);
});
