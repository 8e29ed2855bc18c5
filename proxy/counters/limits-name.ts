import type { Admission, LimitWindow } from './counters.ts';

/** The limits that an admission is checked against, with their amounts: a changed limit is another name. A key and a Channel may have one id. */
export function limitsName({ subject, windows, concurrency, money }: Admission): string {
  let name = `${subject ?? 'key'} ${concurrency?.limit ?? ''}${windowsName(windows)}`;
  for (const budget of money?.budgets ?? []) name += `\n${budget.shadow ? '~' : ''}${budget.limitNanoUsd} ${budget.period}`;
  return name;
}

/** Whether both come with the same credential of the same state of a key. */
export function isSameBearer({ bearer: left }: Pick<Admission, 'bearer'>, { bearer: right }: Pick<Admission, 'bearer'>): boolean {
  return left?.uid === right?.uid && left?.gen === right?.gen && left?.credentialId === right?.credentialId;
}

// the windows of a key's record are made once
const names = new WeakMap<readonly LimitWindow[], string>();

function windowsName(windows: readonly LimitWindow[]): string {
  const known = names.get(windows);
  if (known !== undefined) return known;
  const name = windows.map(({ shadow, limit, name: of }) => `\n${shadow ? '~' : ''}${limit} ${of}`).join('');
  names.set(windows, name);
  return name;
}
