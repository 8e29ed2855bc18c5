import { describe, expect, it } from 'vitest';
import { parseRedirection, parseSlots, slotOf } from './redis-slots.ts';

describe('slotOf', () => {
  // Redis Cluster specification: CRC16 of 123456789 is 0x31C3; the others as CLUSTER KEYSLOT gives them
  it.each([
    ['123456789', 0x31c3],
    ['', 0],
    ['foo', 12182],
    ['{user1000}.following', slotOf('user1000')],
    ['foo{}{bar}', slotOf('foo{}{bar}')],
    ['foo{{bar}}zap', slotOf('{bar')],
    ['foo{bar}{zap}', 5061],
    ['bar', 5061],
  ])('%s', (key, slot) => expect(slotOf(key)).toBe(slot));
});

const asked = { host: '10.0.0.9', port: 6379 };

describe('parseSlots', () => {
  it('reads masters and replicas; a node without a host has that of who was asked', () => {
    const map = parseSlots(
      [
        [0, 8191, ['10.0.0.1', 6379, 'id', []], ['10.0.0.2', 6379, 'id', []]],
        [8192, 16383, [null, 6380, 'id', []]],
      ],
      asked,
    );
    expect([...(map?.masters.keys() ?? [])]).toEqual(['10.0.0.1:6379', '10.0.0.9:6380']);
    expect([map?.masterOf[0], map?.masterOf[8191], map?.masterOf[8192], map?.masterOf[16383]]).toEqual([
      '10.0.0.1:6379',
      '10.0.0.1:6379',
      '10.0.0.9:6380',
      '10.0.0.9:6380',
    ]);
    expect([map?.all.length, map?.isComplete]).toEqual([3, true]);
  });

  it('says when nobody has some slots, and takes nothing else for a map', () => {
    expect(parseSlots([[0, 16382, ['h', 1]]], asked)?.isComplete).toBe(false);
    for (const reply of [undefined, 'OK', [], ['x']]) expect(parseSlots(reply, asked)).toBeUndefined();
  });
});

it('parseRedirection reads MOVED and ASK, with and without a host', () => {
  expect(parseRedirection('MOVED 3999 127.0.0.1:6381', asked)).toEqual({
    asking: false,
    slot: 3999,
    to: { host: '127.0.0.1', port: 6381 },
  });
  expect(parseRedirection('ASK 1 ::1:6381', asked)).toEqual({ asking: true, slot: 1, to: { host: '::1', port: 6381 } });
  expect(parseRedirection('MOVED 1 :6381', asked)?.to.host).toBe('10.0.0.9');
  expect(parseRedirection('ERR MOVED 1 a:1', asked)).toBeUndefined();
});
