import { describe, expect, it } from 'vitest';
import { makeTogether } from './together.ts';

function make(most = 3) {
  const sent: string[][] = [];
  const ask = makeTogether<string, string>({
    groupOf: (item) => item.slice(0, 1),
    most,
    async send(items) {
      sent.push([...items]);
      return items.map((item) => item.toUpperCase());
    },
  });
  return { ask, sent };
}

describe('what is asked for within one turn', () => {
  it('goes in one call per group, in order, and each gets its own answer', async () => {
    const { ask, sent } = make();
    expect(await Promise.all(['a1', 'b1', 'a2'].map(ask))).toEqual(['A1', 'B1', 'A2']);
    expect(sent).toEqual([['a1', 'a2'], ['b1']]);
  });

  it('is cut where it is too much for one call', async () => {
    const { ask, sent } = make();
    await Promise.all(['a1', 'a2', 'a3', 'a4'].map(ask));
    expect(sent).toEqual([['a1', 'a2', 'a3'], ['a4']]);
  });

  it('what comes after its end goes in the next', async () => {
    const { ask, sent } = make();
    await ask('a1');
    await ask('a2');
    expect(sent).toEqual([['a1'], ['a2']]);
  });
});
