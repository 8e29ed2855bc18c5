import { expect, it } from 'vitest';
import { makeSeenSpend, type SeenSpend } from './seen-spend.ts';

const note = (seen: SeenSpend, keyId: string, [field, spentNanoUsd]: readonly [string, number], epoch = 'one'): void =>
  seen.note(keyId, field, { spentNanoUsd, epoch });
const start = Date.parse('2026-11-27T12:00:00Z');

it('keeps the highest of what was seen, because answers overtake each other', () => {
  const seen = makeSeenSpend({ now: () => start });
  for (const spent of [100, 300, 200]) note(seen, 'n/k', ['T0', spent]);
  expect([...seen.of('n/k')]).toEqual([['T0', 300]]);
});

it('lets go of the highest when nothing has confirmed it for a while: it was taken back', () => {
  let nowMs = start;
  const seen = makeSeenSpend({ now: () => nowMs });
  note(seen, 'n/k', ['T0', 300]);
  nowMs += 6_000;
  note(seen, 'n/k', ['T0', 200]);
  expect(seen.of('n/k').get('T0')).toBe(200);
});

it('tells nothing of windows that are over, nor of what was reset', () => {
  let nowMs = start;
  const seen = makeSeenSpend({ now: () => nowMs });
  for (const field of ['D20784', 'W2969', 'M24322', 'T0']) note(seen, 'n/k', [field, 5]);
  nowMs += 2 * 86_400_000;
  expect([...seen.of('n/k').keys()]).toEqual(['W2969', 'M24322', 'T0']);
  seen.forget({ keyId: 'n/k', windows: ['T0', 'M24322'] });
  expect([...seen.of('n/k').keys()]).toEqual(['W2969']);
  expect(seen.of('n/other').size).toBe(0);
});

it('is bounded: the key that was seen longest ago goes first', () => {
  const seen = makeSeenSpend({ now: () => start, most: 2 });
  for (const keyId of ['n/a', 'n/b', 'n/a', 'n/c']) note(seen, keyId, ['T0', 1]);
  expect(['n/a', 'n/b', 'n/c'].map((keyId) => seen.of(keyId).size)).toEqual([1, 0, 1]);
  expect(seen.size).toBe(2);
});

it('keeps apart what was seen in a life of the store before, and gives it once for each life after', () => {
  const seen = makeSeenSpend({ now: () => start });
  note(seen, 'n/k', ['T0', 300]);
  note(seen, 'n/other', ['T0', 50]);
  note(seen, 'n/k', ['T0', 100], 'two');
  note(seen, 'n/k', ['T0', 150], 'two');
  // what it is told after a further loss
  expect(seen.of('n/k').get('T0')).toBe(300);
  const takeOf = (epoch: string) =>
    Object.fromEntries([...seen.takeFormer((keyId) => (keyId === 'n/k' ? epoch : undefined))].map(([id, spent]) => [id, [...spent]]));
  expect(takeOf('two')).toEqual({ 'n/k': [['T0', 300]] });
  expect(takeOf('two')).toEqual({});
  expect(seen.of('n/k').get('T0')).toBe(150);
  // not noted since
  expect(takeOf('three')).toEqual({ 'n/k': [['T0', 150]] });
  note(seen, 'n/k', ['T0', 170], 'three');
  expect(takeOf('three')).toEqual({});
  // of a budget that is not opened, after the next loss
  note(seen, 'n/k', ['T0', 20], '');
  expect(takeOf('four')).toEqual({ 'n/k': [['T0', 170]] });
});
