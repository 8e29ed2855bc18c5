import { expect, it } from 'vitest';
import type { PeekAnswer, PeekQuestion } from '../counters.ts';
import { makePeekPace } from './peek-pace.ts';

const question: PeekQuestion = { keyId: 'team/app', windows: [] };

function make() {
  let nowMs = 0;
  let looks = 0;
  const peek = makePeekPace({
    now: () => nowMs,
    look: async (): Promise<PeekAnswer> => {
      looks += 1;
      return { outcome: 'known', timeMs: looks, windows: [], inFlight: 0, budgets: [], degraded: false };
    },
  });
  return { peek, pass: (ms: number) => (nowMs += ms), looks: () => looks };
}

it('a client that polls is looked for twenty times a second, and told what was found last beyond that', async () => {
  const { peek, pass, looks } = make();
  for (let count = 1; count <= 20; count += 1) expect(await peek(question)).toMatchObject({ timeMs: count });
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => peek(question)));
  expect(new Set(answers.map((answer) => answer.outcome === 'known' && answer.timeMs))).toEqual(new Set([20]));
  pass(999);
  expect(await peek(question)).toMatchObject({ timeMs: 20 });
  pass(1);
  expect(await peek(question)).toMatchObject({ timeMs: 21 });
  expect(looks()).toBe(21);
});

it('another key, and the same key with other limits, are questions of their own', async () => {
  const { peek, looks } = make();
  for (let count = 0; count < 30; count += 1) await peek(question);
  expect(await peek({ ...question, keyId: 'team/other' })).toMatchObject({ timeMs: 21 });
  expect(await peek({ ...question, concurrency: { limit: 1, shadow: false } })).toMatchObject({ timeMs: 22 });
  expect(looks()).toBe(22);
});
