import { isIPv6 } from 'node:net';

/** How many unknown keys one address may try: `burst` at once, then one each `refillMs`. */
const burst = 20;
const refillMs = 1000;
/** Bounds the memory an attacker with many addresses can take; the address unseen for longest is forgotten. */
const maxAddresses = 10_000;

export interface AttemptLimit {
  /** counts one unknown key; gives undefined while it is within the bound, else the time until the next try */
  count(address: string, nowMs: number): number | undefined;
}

/**
 * A token bucket per address, kept as the moment at which it would be full again (integers; no rounding). IPv6 clients own a whole /64, so that is what is counted.
 */
export function makeAttemptLimit(): AttemptLimit {
  const fullAtMs = new Map<string, number>();
  return {
    count(address, nowMs) {
      const network = toNetwork(address);
      const fullMs = Math.max(fullAtMs.get(network) ?? 0, nowMs);
      const waitMs = fullMs + refillMs - burst * refillMs - nowMs;
      // a Map iterates in order of insertion: inserting again makes it the youngest
      fullAtMs.delete(network);
      fullAtMs.set(network, waitMs > 0 ? fullMs : fullMs + refillMs);
      if (fullAtMs.size > maxAddresses) fullAtMs.delete(fullAtMs.keys().next().value as string);
      return waitMs > 0 ? waitMs : undefined;
    },
  };
}

function toNetwork(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').length;
  return [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...(tail ?? '').split(':')].slice(0, 4).join(':');
}
