import { tagOf } from './hash-tag.ts';

/**
 * How the spend of budgets comes back when the store has lost it. Field `e` of a key's budgets names the life of the store (its epoch) in which they were restored. When it is
 * absent or another one, whoever wants to admit asks on a channel, and asks again every quarter of a second until it is answered, since who knows may be connecting itself. Each
 * proxy then raises what stands to the highest it has seen, the operator to its checkpoint, and the operator notes the epoch in field `ea`: it has said all that it knows, be it
 * nothing.
 */
export const restoreChannel = 'kw:restore';
/** What was seen of these windows before does not count any more: they were reset by hand. */
export const budgetResetChannel = 'kw:budget-reset';

/** Redis hash: `D<id>`, `W<id>`, `M<id>`, `T0` → two doubles (little endian), spent and reserved; `e`, `ea` epochs as text; `r`: the reset that was done last; `pD<id>` …: spent before it was opened, to be added then; `bD<id>` …, `eb`: what stood there when it was opened, and the epoch of that. */
export function budgetsKey(keyId: string): string {
  return `kw:{${tagOf(keyId)}}:budget:${keyId}`;
}

export interface RestoreQuestion {
  readonly keyId: string;
  readonly epoch: string;
}

/** What is published when a budget is asked for: key id and epoch. */
export function toRestoreQuestion({ keyId, epoch }: RestoreQuestion): string {
  return `${keyId} ${epoch}`;
}

const questionPattern = /^([^\s/]+\/[^\s/]+) (\S{1,128})$/;

/** Undefined: nothing that one of us could have asked. */
export function parseRestoreQuestion(message: string): RestoreQuestion | undefined {
  const [, keyId, epoch] = questionPattern.exec(message) ?? [];
  return keyId === undefined || epoch === undefined ? undefined : { keyId, epoch };
}

export interface BudgetReset {
  readonly keyId: string;
  /** fields of the hash */
  readonly windows: readonly string[];
}

/** What is published when budgets were reset: key id and windows. */
export function toBudgetResetMessage({ keyId, windows }: BudgetReset): string {
  return [keyId, ...windows].join(' ');
}

const resetPattern = /^([^\s/]+\/[^\s/]+)((?: [DWMT]\d{1,9}){1,4})$/;

/** The same read; undefined for what nobody of us has written. */
export function parseBudgetResetMessage(message: string): BudgetReset | undefined {
  const [, keyId, windows] = resetPattern.exec(message) ?? [];
  return keyId === undefined || windows === undefined ? undefined : { keyId, windows: windows.trim().split(' ') };
}
