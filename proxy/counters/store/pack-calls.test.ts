import { describe, expect, it } from 'vitest';
import { tagOf } from '../../../core/hash-tag.ts';
import type { Afterwards } from '../scripts/afterwards.ts';
import { packCalls, type StoreCall, type Told } from './pack-calls.ts';

const event = (keyId: string, number: number): Afterwards => ({ what: 'event', keyId, event: { number } });
const own = (keyId: string): StoreCall => ({
  script: { source: '', sha: '' },
  keyCount: 1,
  parameters: [`kw:{${tagOf(keyId)}}:x`],
  command: 'push',
});

function pack(told: readonly Told[]) {
  let names = 0;
  return packCalls(told, { clock: '', nameNext: () => `p:${(names += 1)}` });
}

describe('calls of what waits', () => {
  it('are one per tag, its items in their order; Channels have tags of their own', () => {
    const packed = pack([event('a/1', 0), event('b/1', 1), event('a/2', 2), event('c:a', 3), event('b/1', 4)]);
    expect(packed.map(({ positions }) => positions)).toEqual([[0, 2], [1, 4], [3]]);
    expect(packed.map(({ call }) => call.parameters[0])).toEqual([
      `kw:{${tagOf('a/1')}}:told:p:1`,
      `kw:{${tagOf('b/1')}}:told:p:2`,
      'kw:{c:a}:told:p:3',
    ]);
    expect(packed[0]?.call.parameters.slice(-4)).toEqual(['{"number":0}', 'event', '2', '{"number":2}']);
  });

  it('hold at most 64', () => {
    const packed = pack(Array.from({ length: 130 }, (_, number) => event('a/1', number)));
    expect(packed.map(({ positions }) => positions.length)).toEqual([64, 64, 2]);
  });

  it('go around a call of its own in the order of their tag', () => {
    const packed = pack([event('a/1', 0), event('b/1', 1), { what: 'call', call: own('a/1') }, event('a/1', 3), event('b/1', 4)]);
    expect(packed.map(({ positions }) => positions)).toEqual([[0], [1, 4], [2], [3]]);
  });
});
