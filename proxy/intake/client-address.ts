import { isIP, isIPv4 } from 'node:net';
import { makeAddressCheck } from '../keys/address-range.ts';

/** Gives the address a request counts as coming from. `remote` is the peer of the socket, `forwardedFor` all its X-Forwarded-For values joined by commas. */
export type ClientAddress = (remote: string | undefined, forwardedFor: string | undefined) => string;

/**
 * Whose `X-Forwarded-For` counts is told by `trusted` (CIDRs or addresses). Each proxy appends what it saw, so the list is read from the right, and the first address
 * that is no trusted proxy is the client; anything left of it the client may have written itself. An entry that is no address ends the reading.
 */
export function makeClientAddress(trusted: readonly string[]): ClientAddress {
  const isTrusted = makeAddressCheck(trusted);
  return (remote, forwardedFor) => {
    let client = toPlainAddress(remote ?? '');
    if (client === undefined) return 'unknown';
    if (forwardedFor === undefined || trusted.length === 0) return client;
    const hops = forwardedFor.split(',');
    for (let hop = hops.pop(); hop !== undefined && isTrusted(client); hop = hops.pop()) {
      const address = toPlainAddress(stripPort(hop.trim()));
      if (address === undefined) return client;
      client = address;
    }
    return client;
  };
}

/** The texts that are no CIDR and no address; empty when all are. */
export function findBadCidrs(texts: readonly string[]): string[] {
  // a range that can be read holds its own address
  return texts.filter((text) => !makeAddressCheck([text])(text.split('/', 1)[0] ?? ''));
}

/** An IPv4 peer of a dual-stack socket looks like `::ffff:10.0.0.1`. */
function toPlainAddress(text: string): string | undefined {
  const address = text.startsWith('::ffff:') && isIPv4(text.slice(7)) ? text.slice(7) : text;
  return isIP(address) === 0 ? undefined : address;
}

/** Some balancers write `10.0.0.1:4711` and `[2001:db8::1]:4711`. */
function stripPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text);
  if (bracketed !== null) return bracketed[1] ?? '';
  const withPort = /^([\d.]+):\d{1,5}$/.exec(text);
  return withPort?.[1] ?? text;
}
