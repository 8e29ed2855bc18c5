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
  it('are one for all keys of the tag, its items in their order; Channels have tags of their own', () => {
    const packed = pack([event('a/1', 0), event('a/2', 1)]);
    expect(packed.map(({ positions }) => positions)).toEqual([[0, 1]]);
    expect(packed[0]?.call.parameters[0]).toBe(`kw:{${tagOf('a/1')}}:told:p:1`);
    expect(packed[0]?.call.parameters.slice(-4)).toEqual(['{"number":0}', 'event', '2', '{"number":1}']);
    expect(pack([event('c:a', 3)])[0]?.call.parameters[0]).toBe('kw:{c:a}:told:p:1');
  });

  it('hold at most 64', () => {
    const packed = pack(Array.from({ length: 130 }, (_, number) => event('a/1', number)));
    expect(packed.map(({ positions }) => positions.length)).toEqual([64, 64, 2]);
  });

  it('go around a call of its own in their order', () => {
    const packed = pack([event('a/1', 0), event('a/2', 1), { what: 'call', call: own('a/1') }, event('a/1', 3)]);
    expect(packed.map(({ positions }) => positions)).toEqual([[0, 1], [2], [3]]);
  });
});
