import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Price } from '../core/price.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Address } from '../runtime/environment.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { makeAttemptLimit } from './keys/attempt-limit.ts';
import { makeSharedRoom } from './bodies/shared-room.ts';
import { makeChannelHealth, type ChannelHealthView } from './channels/channel-health.ts';
import { addChannelMetrics } from './channels/channel-metrics.ts';
import type { Counters } from './counters/counters.ts';
import { endExchange } from './exchange.ts';
import { makeFrontDoor } from './intake/front-door.ts';
import { makeInFlight } from './in-flight.ts';
import { makeKeyEnder } from './key-ender.ts';
import type { LastUsed } from './keys/last-used.ts';
import { makeLearntOutputs } from './reservations/learnt-outputs.ts';
import type { KeyIndex, Parts } from './parts.ts';
import { makePriceBook } from './prices/price-book.ts';
import type { UnpricedModels } from './prices/price-request.ts';
import { makeProxyMetrics } from './proxy-metrics.ts';
import { renewWhenDue } from './reservations/renewal.ts';
import type { Revocations } from './keys/revocations.ts';
import { makeRouter } from './intake/router.ts';
import { makeMemoryStoredObjects } from './stored-objects/memory.ts';
import type { StoredObjects } from './stored-objects/stored-objects.ts';
import { makeUpstreams } from './upstream/upstream.ts';

export interface ServerSettings {
  readonly listen: Address;
  readonly maxBodyBytes: number;
  /** of all request bodies at one time */
  readonly maxBufferedBytes: number;
  readonly maxInFlight: number;
  readonly drainMs: number;
  /** CIDRs whose X-Forwarded-For counts */
  readonly trustedProxies: readonly string[];
  readonly corsOrigins: readonly string[];
  readonly maxKeySeries: number;
  /** Channels may point to link-local addresses */
  readonly allowLinkLocal?: boolean;
  /** what nobody has priced; default: Deny */
  readonly unpriced?: { readonly models: UnpricedModels; readonly price?: Price | undefined } | undefined;
  /** PEM */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** a body that takes longer has to come at 8 KiB/s */
  readonly bodyPatienceMs?: number;
  readonly headersTimeoutMs?: number;
}

export interface ProxyOptions {
  readonly settings: ServerSettings;
  readonly index: KeyIndex;
  readonly revocations: Revocations;
  /** default: nobody wants to know */
  readonly lastUsed?: LastUsed | undefined;
  readonly counters: Counters;
  /** default: this process alone remembers them */
  readonly storedObjects?: StoredObjects | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** in [0, 1) */
  readonly random: () => number;
}

export interface Proxy {
  /** `http://host:port` with the port that the system chose */
  readonly address: string;
  /** why it should get no traffic; empty = ready */
  readiness(): readonly string[];
  /** what this proxy has seen of the channels; may be shown to whoever runs the gateway */
  channelHealth(): readonly ChannelHealthView[];
  /** Stops: no longer ready, running requests end by themselves within the drain time, then by us; usage is flushed; the port closes last. */
  drain(): Promise<void>;
}

/** Of one request (RFC 9110 names no number; Node's and nginx' defaults are the same order). */
const maxHeaderBytes = 16_384;
const defaultHeadersTimeoutMs = 10_000;
const defaultBodyPatienceMs = 60_000;
const minBytesPerSecond = 8192;
/** Longer than balancers keep their idle connections (60 s), so that they and not we close first. */
const keepAliveMs = 65_000;
const renewEveryMs = 1000;
const forgetEveryMs = 10_000;
/** What is left of connections after the last answer was handed to them. */
const flushMs = 1000;

/** Starts the data plane on its port. The caller owns index and counters and closes them after `drain`. */
export async function startProxy({
  settings,
  index,
  revocations,
  lastUsed,
  counters,
  storedObjects,
  log,
  metrics,
  clock,
  random,
}: ProxyOptions): Promise<Proxy> {
  const inFlight = makeInFlight();
  // a clock that nobody sets back, or a cooldown would last for hours
  const health = makeChannelHealth({ now: () => performance.now() });
  addChannelMetrics(metrics, () => health.describe(index.channels));
  const upstreams = makeUpstreams({ now: clock.now, allowLinkLocal: settings.allowLinkLocal === true });
  const parts: Parts = {
    index,
    revocations,
    lastUsed: lastUsed ?? { note: () => {} },
    counters,
    learntOutputs: makeLearntOutputs(),
    storedObjects: storedObjects ?? makeMemoryStoredObjects({ now: clock.now }),
    upstreams,
    health,
    prices: makePriceBook({ now: clock.now, unpricedPrice: settings.unpriced?.price }),
    unpricedModels: settings.unpriced?.models ?? 'Deny',
    metrics: makeProxyMetrics({ metrics, maxKeys: settings.maxKeySeries, now: clock.now, inFlight: () => inFlight.count }),
    log,
    clock,
    random,
    attemptLimit: makeAttemptLimit(),
    bodyBounds: {
      maxBytes: settings.maxBodyBytes,
      patienceMs: settings.bodyPatienceMs ?? defaultBodyPatienceMs,
      minBytesPerSecond,
    },
    room: makeSharedRoom({ maxBytes: settings.maxBufferedBytes, oneBodyBytes: settings.maxBodyBytes }),
  };
  let draining = false;
  const { maxInFlight, trustedProxies, corsOrigins } = settings;
  const door = makeFrontDoor({ parts, inFlight, maxInFlight, trustedProxies, corsOrigins, draining: () => draining });
  const router = makeRouter({
    handle: (request, response, route) => door.handle(request, response, route),
    onClientError: (error, socket) => door.refuseUnreadable(error, socket),
    makeServer(route) {
      const listener: RequestListener = (request, response) => {
        if (!door.turnsAway(request, response)) route(request, response);
      };
      const server = makeHttpServer(settings, listener);
      // the answer to `Expect: 100-continue` is given when the body is wanted, not before
      server.on('checkContinue', listener);
      // any other expectation may be ignored (RFC 9110 section 10.1.1); Node would answer 417 without a body or a request id
      server.on('checkExpectation', listener);
      // without a listener Node closes the connection and says nothing
      server.on('connect', (_request, socket) => door.refuseUnreadable(new Error('no tunnels here'), socket as Socket));
      return server;
    },
  });
  const keyEnder = makeKeyEnder(inFlight, revocations);
  const subscriptions = [
    index.onEnded((keyId, _reason, credentialId) => keyEnder.end(keyId, credentialId)),
    revocations.onChange((keyId) => keyEnder.endOverruled(keyId)),
    revocations.onChange((keyId) => counters.forget?.(keyId)),
  ];
  await router.listen(settings.listen);
  const bound = router.server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the proxy has no address although it listens');
  const renewTimer = setInterval(() => {
    const nowMs = performance.now();
    for (const exchange of inFlight.all()) renewWhenDue(exchange, parts, nowMs);
  }, renewEveryMs);
  const forgetTimer = setInterval(() => revocations.forget(), forgetEveryMs);
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;

  async function drain(): Promise<void> {
    draining = true;
    router.server.closeIdleConnections();
    await settleWithin(inFlight.idle(), settings.drainMs, clock);
    for (const exchange of inFlight.all()) endExchange(exchange, { code: 'overloaded', message: 'The gateway is stopping. Try again.' });
    const closed = router.close();
    await settleWithin(inFlight.idle(), flushMs, clock);
    const forced = clock.after(flushMs, () => router.server.closeAllConnections());
    await closed;
    forced.cancel();
    clearInterval(renewTimer);
    clearInterval(forgetTimer);
    for (const unsubscribe of subscriptions) unsubscribe();
    await counters.flush();
    await upstreams.close();
  }

  let drained: Promise<void> | undefined;
  return {
    address: `${settings.tls === undefined ? 'http' : 'https'}://${host}:${bound.port}`,
    readiness: () => (draining ? ['stopping'] : index.missing()),
    channelHealth: () => health.describe(index.channels),
    drain() {
      drained ??= drain();
      return drained;
    },
  };
}

function makeHttpServer(settings: ServerSettings, listener: RequestListener): Server {
  const options = {
    maxHeaderSize: maxHeaderBytes,
    // Node's answer has no body and no request id; the front door looks at it
    requireHostHeader: false,
    headersTimeout: settings.headersTimeoutMs ?? defaultHeadersTimeoutMs,
    // bodies have a bound of their own (read-body.ts), answers that of their Channel
    requestTimeout: 0,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: 500,
    noDelay: true,
  };
  return settings.tls === undefined ? createServer(options, listener) : createTlsServer({ ...options, ...settings.tls }, listener);
}

async function settleWithin(promise: Promise<void>, ms: number, clock: Clock): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(ms, resolve);
  await Promise.race([promise, late]);
  timer.cancel();
}
