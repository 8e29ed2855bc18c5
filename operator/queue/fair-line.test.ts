import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairLine, toNamespaceOf } from './fair-line.ts';

function takeAll(line: FairLine<number>): string[] {
  const taken: string[] = [];
  for (let next = line.take(); next !== undefined; next = line.take()) taken.push(next[0]);
  return taken;
}

describe('a fair line', () => {
  it('lets groups take turns, each in the order of arrival', () => {
    const line = new FairLine<number>(toNamespaceOf);
    for (const item of ['K/big/1', 'K/big/2', 'K/big/3', 'K/small/1', 'K/other/1', 'K/small/2']) line.add(item, 0);
    expect(line.size).toBe(6);
    expect(takeAll(line)).toEqual(['K/big/1', 'K/small/1', 'K/other/1', 'K/big/2', 'K/small/2', 'K/big/3']);
    expect(line.size).toBe(0);
  });

  it('has each item once, keeps its place and its first value', () => {
    const line = new FairLine<number>(toNamespaceOf);
    line.add('K/a/1', 1);
    line.add('K/a/2', 2);
    line.add('K/a/1', 3);
    expect([line.has('K/a/1'), line.has('K/b/1'), line.sizeOfGroup('K/a/9'), line.size]).toEqual([true, false, 2, 2]);
    expect(line.take()).toEqual(['K/a/1', 1]);
    line.clear();
    expect([line.size, line.take()]).toEqual([0, undefined]);
  });

  it('never makes a newcomer wait for more than one item of each other group', () => {
    const crowds = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(crowds, fc.nat(40), (sizes, turns) => {
        const line = new FairLine<number>(toNamespaceOf);
        for (const [group, size] of sizes.entries()) for (let index = 0; index < size; index += 1) line.add(`K/crowd-${group}/${index}`, 0);
        const before = Math.min(turns, line.size);
        for (let turn = 0; turn < before; turn += 1) line.take();
        line.add('K/newcomer/1', 0);
        expect(takeAll(line).indexOf('K/newcomer/1')).toBeLessThanOrEqual(sizes.length);
      }),
    );
  });
});
