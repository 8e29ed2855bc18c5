import { BlockList, isIP, isIPv4 } from 'node:net';

/**
 * Whether an address is in one of the ranges (CIDRs or single addresses, IPv4 or IPv6). Absent ranges hold every address; a range that cannot be read holds none.
 * An IPv4 address and its IPv4-mapped form (`::ffff:192.0.2.1`, RFC 4291, 2.5.5.2) are the same address, in ranges too. Compiled at the first question, because most
 * keys of a snapshot are not asked for.
 */
export function makeAddressCheck(ranges: readonly string[] | undefined): (address: string) => boolean {
  if (ranges === undefined) return () => true;
  let list: BlockList | undefined;
  return (address) => {
    // a zone index (`fe80::1%eth0`) says by which interface, not who
    const [plain = ''] = address.split('%', 1);
    if (isIP(plain) === 0) return false;
    list ??= compile(ranges);
    // of an IPv4-mapped address the list compares the IPv4 part with IPv4 ranges
    return list.check(plain, isIPv4(plain) ? 'ipv4' : 'ipv6');
  };
}

function compile(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const subnet = parseRange(range);
    if (subnet !== undefined) list.addSubnet(subnet.address, subnet.bits, isIPv4(subnet.address) ? 'ipv4' : 'ipv6');
  }
  return list;
}

const mappedPrefix = /^::ffff:(?=\d+\.)/i;

function parseRange(range: string): { readonly address: string; readonly bits: number } | undefined {
  const [address = '', bitsText, ...rest] = range.split('/');
  if (isIP(address) === 0 || rest.length > 0 || (bitsText !== undefined && !/^\d{1,3}$/.test(bitsText))) return undefined;
  const most = isIPv4(address) ? 32 : 128;
  const bits = bitsText === undefined ? most : Number(bitsText);
  if (bits > most) return undefined;
  const isMapped = mappedPrefix.test(address) && bits >= 96;
  return isMapped ? { address: address.replace(mappedPrefix, ''), bits: bits - 96 } : { address, bits };
}
