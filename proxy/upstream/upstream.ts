import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { Pool } from 'undici';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { isForbiddenAddress, isForbiddenHost } from '../../runtime/forbidden-address.ts';

/** Where a Channel's requests go. */
export interface Upstream {
  readonly pool: Pool;
  readonly origin: string;
  /** of the base URL, without a trailing slash */
  readonly pathPrefix: string;
}

/** Connections to the providers: one pool per Channel. */
export interface Upstreams {
  /**
   * The upstream of this record; a changed record gets a new pool, and requests that run on the old one finish there. Undefined when the Channel points to an address
   * that the installation does not allow.
   */
  find(channel: ChannelRecord): Upstream | undefined;
  close(): Promise<void>;
}

/** Below the idle time after which common servers and balancers close (60 s), so that a reused connection is seldom already dead. */
const keepAliveMs = 30_000;
/** A Channel that is gone leaves a pool behind; one that nobody used for so long is closed. */
const idlePoolMs = 600_000;

interface Entry {
  readonly upstream: Upstream;
  readonly fingerprint: string;
  usedAtMs: number;
}

/** What is read from a record once, and not once per request. */
interface Facts {
  readonly fingerprint: string;
  readonly forbidden: boolean;
}

type Resolve = LookupFunction;

export interface UpstreamsOptions {
  readonly now: () => number;
  /** lets Channels point to 169.254.0.0/16 and the like, where clouds serve machine credentials */
  readonly allowLinkLocal?: boolean;
  /** names to addresses; default: the system's */
  readonly resolve?: Resolve;
}

export function makeUpstreams({ now, allowLinkLocal = false, resolve = systemResolve }: UpstreamsOptions): Upstreams {
  const entries = new Map<string, Entry>();
  const known = new WeakMap<ChannelRecord, Facts>();

  function read(channel: ChannelRecord): Facts {
    let facts = known.get(channel);
    if (facts === undefined) {
      const { baseUrl, tls, timeouts } = channel;
      facts = {
        fingerprint: JSON.stringify([baseUrl, tls, timeouts.connectMs]),
        forbidden: !allowLinkLocal && isForbiddenHost(new URL(baseUrl).hostname),
      };
      known.set(channel, facts);
    }
    return facts;
  }

  function open(channel: ChannelRecord, fingerprint: string): Entry {
    const nowMs = now();
    for (const [id, entry] of entries) {
      if (id !== channel.id && nowMs - entry.usedAtMs <= idlePoolMs) continue;
      entries.delete(id);
      // lets running requests finish
      void entry.upstream.pool.close();
    }
    const { origin, pathname } = new URL(channel.baseUrl);
    const upstream = {
      pool: makePool(channel, allowLinkLocal ? resolve : guard(resolve)),
      origin,
      pathPrefix: pathname.replace(/\/+$/, ''),
    };
    const entry = { fingerprint, upstream, usedAtMs: nowMs };
    entries.set(channel.id, entry);
    return entry;
  }

  return {
    find(channel) {
      const { fingerprint, forbidden } = read(channel);
      if (forbidden) return undefined;
      let entry = entries.get(channel.id);
      if (entry?.fingerprint !== fingerprint) entry = open(channel, fingerprint);
      entry.usedAtMs = now();
      return entry.upstream;
    },
    async close() {
      const pools = [...entries.values()].map(({ upstream }) => upstream.pool);
      entries.clear();
      await Promise.all(pools.map((pool) => pool.destroy()));
    },
  };
}

const systemResolve: Resolve = (hostname, options, callback) => lookup(hostname, options, callback);

function makePool(channel: ChannelRecord, resolve: Resolve): Pool {
  const { connectMs } = channel.timeouts;
  const origin = new URL(channel.baseUrl);
  return new Pool(origin.origin, {
    // a stream holds its connection, so a bound here would be a bound on concurrent requests
    connections: null,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: 60_000,
    maxHeaderSize: 32_768,
    connect: {
      timeout: connectMs,
      ...(channel.tls.serverName === undefined ? {} : { servername: channel.tls.serverName }),
      ...(channel.tls.ca === undefined ? {} : { ca: channel.tls.ca }),
      lookup: resolve,
    },
  });
}

/**
 * A name is looked at after DNS, when the addresses are known that will be connected to: looking before would leave room for a second, different answer.
 * `node:net` calls no `lookup` for a host that is an address already; those are looked at by `isForbiddenHost`.
 */
function guard(resolve: Resolve): Resolve {
  return (hostname, options, callback) => {
    resolve(hostname, options, (error, address, family) => {
      const addresses = Array.isArray(address) ? address.map((entry) => entry.address) : [address];
      if (error === null && addresses.some(isForbiddenAddress)) {
        callback(Object.assign(new Error('the host resolves to an address that is not allowed'), { code: 'KEYWRIGHT_ADDRESS' }), '', 4);
        return;
      }
      callback(error, address, family);
    });
  };
}
