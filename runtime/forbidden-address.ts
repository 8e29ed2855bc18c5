import { BlockList, isIP, isIPv4 } from 'node:net';

/**
 * Where clouds serve credentials of machines, to whoever asks from the inside: link-local addresses, among them the metadata services of most clouds (169.254.169.254), and those of Alibaba,
 * Azure, Oracle and AWS that stand elsewhere; the same through a translator of the network (NAT64, RFC 6052). An address is a network of one.
 */
export const forbiddenNetworks: readonly (readonly [address: string, prefix: number])[] = [
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['192.0.0.192', 32],
  ['fe80::', 10],
  ['fd00:ec2::254', 128],
  ['64:ff9b::a9fe:0', 112],
];

/** Names that the clouds resolve to these. */
const forbiddenNames: ReadonlySet<string> = new Set(['metadata.google.internal', 'metadata', 'metadata.azure.internal', 'instance-data']);

const list = new BlockList();
for (const [address, prefix] of forbiddenNetworks) list.addSubnet(address, prefix, isIPv4(address) ? 'ipv4' : 'ipv6');

/** True for an address that no Channel may point to unless the installation allows it. IPv4 inside IPv6 counts as what it is. */
export function isForbiddenAddress(address: string): boolean {
  return isIP(address) !== 0 && list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** True for the host of an address as it is written: a forbidden address, or a name of one. What another name resolves to is known when it is connected to. */
export function isForbiddenHost(hostname: string): boolean {
  const host = hostname.toLowerCase().replace(/^\[|\]$|\.$/g, '');
  return isForbiddenAddress(host) || forbiddenNames.has(host);
}
