import { describe, expect, it } from 'vitest';
import { forbiddenNetworks, isForbiddenAddress, isForbiddenHost } from './forbidden-address.ts';

describe('where clouds serve credentials of machines', () => {
  it.each([
    '169.254.0.1',
    '169.254.255.255',
    '168.63.129.16',
    '192.0.0.192',
    '100.100.100.200',
    'fe80::1',
    'febf::1',
    'fd00:ec2::254',
    '::ffff:169.254.169.254',
    '::ffff:168.63.129.16',
    '64:ff9b::a9fe:a9fe',
    ...forbiddenNetworks.map(([address]) => address),
  ])('%s is forbidden as an address and as a host', (address) => {
    const host = new URL(address.includes(':') ? `http://[${address}]` : `http://${address}`).hostname;
    expect([isForbiddenAddress(address), isForbiddenHost(host)]).toEqual([true, true]);
  });

  it.each(['127.0.0.1', '10.0.0.1', '169.253.255.255', '168.63.129.17', '::1', 'fec0::1', '64:ff9b::808:808', 'name'])(
    '%s is not',
    (address) => expect([isForbiddenAddress(address), isForbiddenHost(address)]).toEqual([false, false]),
  );

  it.each(['metadata.google.internal', 'Metadata.Google.Internal.', 'metadata', 'instance-data', '0xa9.0xfe.0xa9.0xfe', '2852039166'])(
    'nor may a host be %s, however it is written',
    (host) => expect(isForbiddenHost(new URL(`http://${host}`).hostname)).toBe(true),
  );

  it('but a name is no address, and a name that holds one of these is another', () => {
    expect([isForbiddenAddress('metadata'), isForbiddenHost('metadata.example'), isForbiddenHost('x-instance-data')]).toEqual([
      false,
      false,
      false,
    ]);
  });
});
