import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeSharedRoom } from './shared-room.ts';

const take = (room: ReturnType<typeof makeSharedRoom>, namespace: string, bytes: number): boolean => room.of(namespace).take(bytes);

describe('the room that namespaces share', () => {
  it('leaves a quarter to the others, whoever fills it, and a part of that to one more', () => {
    const room = makeSharedRoom({ maxBytes: 1000, oneBodyBytes: 10 });
    let held = 0;
    while (take(room, 'greedy', 1)) held += 1;
    expect(held).toBe(750);
    let others = 0;
    while (take(room, 'other', 1)) others += 1;
    expect([others > 180, take(room, 'third', 10)]).toEqual([true, true]);
  });

  it('has room for one body of every namespace as long as there is any', () => {
    const room = makeSharedRoom({ maxBytes: 1000, oneBodyBytes: 900 });
    expect([take(room, 'a', 900), take(room, 'a', 1), take(room, 'b', 100), take(room, 'c', 1)]).toEqual([true, false, true, false]);
  });

  it('gives back what was given', () => {
    const room = makeSharedRoom({ maxBytes: 1000, oneBodyBytes: 10 });
    const own = room.of('a');
    expect([own.take(700), own.used, room.used]).toEqual([true, 700, 700]);
    own.give(700);
    expect([own.used, room.used, room.of('a').take(750)]).toEqual([0, 0, true]);
  });

  it('is never more than there is, and is all free when all is given back', () => {
    const step = fc.record({ namespace: fc.constantFrom('a', 'b', 'c'), bytes: fc.integer({ min: 0, max: 400 }), gives: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const room = makeSharedRoom({ maxBytes: 1000, oneBodyBytes: 100 });
        const held: { namespace: string; bytes: number }[] = [];
        for (const { namespace, bytes, gives } of steps) {
          const last = gives ? held.pop() : undefined;
          if (last !== undefined) room.of(last.namespace).give(last.bytes);
          else if (room.of(namespace).take(bytes)) held.push({ namespace, bytes });
          expect(room.used).toBe(held.reduce((sum, each) => sum + each.bytes, 0));
          expect(room.used).toBeLessThanOrEqual(1000);
        }
        for (const each of held) room.of(each.namespace).give(each.bytes);
        expect(['a', 'b', 'c'].map((namespace) => room.of(namespace).used)).toEqual([0, 0, 0]);
      }),
    );
  });
});
