import { describe, expect, it } from 'vitest';
import { makeAddressCheck } from './address-range.ts';

describe('makeAddressCheck', () => {
  it.each([
    [['10.0.0.0/8'], '10.1.2.3', true],
    [['10.0.0.0/8'], '11.1.2.3', false],
    [['10.0.0.0/8'], '::ffff:10.1.2.3', true],
    [['10.0.0.0/8'], '::ffff:a01:203', true],
    [['10.0.0.0/8'], '::ffff:11.1.2.3', false],
    [['::ffff:10.0.0.0/104'], '10.1.2.3', true],
    [['::ffff:10.0.0.0/104'], '11.1.2.3', false],
    [['192.0.2.7'], '192.0.2.7', true],
    [['192.0.2.7'], '192.0.2.8', false],
    [['2001:db8::/32'], '2001:db8:1::1', true],
    [['2001:db8::/32'], '2001:db9::1', false],
    [['2001:db8::/32'], '10.0.0.1', false],
    [['fe80::/10'], 'fe80::1%eth0', true],
    [['0.0.0.0/0'], '203.0.113.9', true],
    [['0.0.0.0/0'], '2001:db8::1', false],
    [['::/0'], '2001:db8::1', true],
    [['10.0.0.0/8', '2001:db8::/32'], '2001:db8::1', true],
    [[], '10.0.0.1', false],
    [['10.0.0.0/33', 'nonsense', '10.0.0.0/8/8', '10.0.0.0/x'], '10.0.0.1', false],
    [['0.0.0.0/0'], 'unknown', false],
  ])('%j holds %s: %s', (ranges, address, held) => {
    expect(makeAddressCheck(ranges)(address)).toBe(held);
  });

  it('absent ranges hold everything', () => {
    expect(makeAddressCheck(undefined)('203.0.113.9')).toBe(true);
  });
});
