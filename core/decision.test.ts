import { describe, expect, it } from 'vitest';
import { type Check, firstRefusal } from './decision.ts';

describe('firstRefusal', () => {
  it('gives the first no and asks nobody after it', () => {
    const asked: string[] = [];
    const check =
      (name: string, refuses: boolean): Check<number> =>
      (subject) => {
        asked.push(`${name}${subject}`);
        return refuses ? { code: 'not_found', message: name } : undefined;
      };
    expect(firstRefusal([check('a', false), check('b', true), check('c', true)], 1)).toEqual({ code: 'not_found', message: 'b' });
    expect(asked).toEqual(['a1', 'b1']);
    expect(firstRefusal([check('d', false)], 2)).toBeUndefined();
  });
});
