import { expect, it } from 'vitest';
import { makeLearntOutputs } from './learnt-outputs.ts';

it('keeps keys and models apart', () => {
  const outputs = makeLearntOutputs();
  for (let answer = 0; answer < 10; answer += 1) outputs.note('team/a', 'gpt', 64);
  expect(outputs.of('team/a', 'gpt')).toBe(64);
  expect(outputs.of('team/a', 'other')).toBeUndefined();
  expect(outputs.of('team/b', 'gpt')).toBeUndefined();
});

it('forgets what was not used for longest once there are too many', () => {
  const outputs = makeLearntOutputs();
  for (let answer = 0; answer < 10; answer += 1) {
    outputs.note('team/old', 'gpt', 64);
    outputs.note('team/busy', 'gpt', 64);
  }
  for (let other = 0; other < 19_999; other += 1) {
    outputs.note('team/many', `model-${other}`, 1);
    if (other === 10_000) outputs.note('team/busy', 'gpt', 64);
  }
  expect(outputs.of('team/busy', 'gpt')).toBe(64);
  expect(outputs.of('team/old', 'gpt')).toBeUndefined();
});
