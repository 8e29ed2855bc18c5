import { describe, expect, it } from 'vitest';
import { findBadCidrs, makeClientAddress } from './client-address.ts';

const trusting = makeClientAddress(['10.0.0.0/8', '2001:db8::/32', '192.0.2.7']);

describe('makeClientAddress', () => {
  it.each([
    ['no header', '10.0.0.1', undefined, '10.0.0.1'],
    ['an untrusted peer that writes the header itself', '198.51.100.1', '1.2.3.4', '198.51.100.1'],
    ['one trusted proxy', '10.0.0.1', '198.51.100.9', '198.51.100.9'],
    ['a client that wrote the header before the proxy', '10.0.0.1', '1.2.3.4, 198.51.100.9', '198.51.100.9'],
    ['two trusted proxies', '10.0.0.1', '198.51.100.9, 192.0.2.7', '198.51.100.9'],
    ['only trusted proxies', '10.0.0.1', '10.1.1.1,10.2.2.2', '10.1.1.1'],
    ['an entry that is no address', '10.0.0.1', '198.51.100.9, unknown', '10.0.0.1'],
    ['ports', '10.0.0.1', '198.51.100.9:4711', '198.51.100.9'],
    ['a bracketed v6 address', '2001:db8::1', '[2001:db9::5]:80', '2001:db9::5'],
    ['a mapped peer', '::ffff:10.0.0.1', '198.51.100.9', '198.51.100.9'],
    ['no peer', undefined, '198.51.100.9', 'unknown'],
  ])('%s', (_name, remote, forwardedFor, expected) => {
    expect(trusting(remote, forwardedFor)).toBe(expected);
  });

  it('believes nobody by default', () => {
    expect(makeClientAddress([])('10.0.0.1', '1.2.3.4')).toBe('10.0.0.1');
  });
});

it('findBadCidrs', () => {
  expect(findBadCidrs(['10.0.0.0/8', '::1', '10.0.0.0/33', 'x', '1.2.3.4/', '::/129', '1.2.3.4/8/8'])).toEqual([
    '10.0.0.0/33',
    'x',
    '1.2.3.4/',
    '::/129',
    '1.2.3.4/8/8',
  ]);
});
