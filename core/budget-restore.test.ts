import { expect, it } from 'vitest';
import {
  budgetResetChannel,
  budgetsKey,
  restoreChannel,
  parseBudgetResetMessage,
  parseRestoreQuestion,
  toBudgetResetMessage,
  toRestoreQuestion,
} from './budget-restore.ts';

it('has the names by which processes of different versions meet', () => {
  expect([restoreChannel, budgetResetChannel]).toEqual(['kw:restore', 'kw:budget-reset']);
  expect(budgetsKey('team/app')).toMatch(/^kw:\{[0-3][0-9a-f]\}:budget:team\/app$/);
});

it('a question is read as it was asked, and nothing else is one', () => {
  const question = { keyId: 'team/app', epoch: 'f'.repeat(40) };
  expect(parseRestoreQuestion(toRestoreQuestion(question))).toEqual(question);
  for (const message of ['', 'team/app', 'team/app ', 'team e', 'a/b/c e', 'team/app e e', `team/app ${'x'.repeat(200)}`])
    expect(parseRestoreQuestion(message)).toBeUndefined();
});

it('a reset is read as it was told, and nothing else is one', () => {
  const reset = { keyId: 'team/app', windows: ['D20419', 'T0'] };
  expect(parseBudgetResetMessage(toBudgetResetMessage(reset))).toEqual(reset);
  for (const message of ['', 'team/app', 'team/app e', 'team/app D', 'team D1', 'team/app D1 D2 D3 D4 D5'])
    expect(parseBudgetResetMessage(message)).toBeUndefined();
});
