import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { createSecureContext } from 'node:tls';
import { defineSettings, type Settings } from '../runtime/environment.ts';
import { processSettings } from '../runtime/process-settings.ts';
import { redisSettings } from '../runtime/redis-settings.ts';
import { sealSettings } from '../runtime/seal-file.ts';
import { findBadCidrs } from './intake/client-address.ts';
import { parseUnpricedPrice } from './prices/unpriced-price.ts';
import type { ServerSettings } from './server.ts';

/** Settings of the data plane itself, wherever it runs (`keywright proxy` and `keywright standalone`). */
export const dataPlaneSettings = defineSettings({
  ...redisSettings,
  listen: { name: 'KEYWRIGHT_LISTEN', kind: 'address', default: '0.0.0.0:8080', description: 'where clients are served' },
  ...processSettings,
  logLevel: { ...processSettings.logLevel, description: 'least level that is logged; access lines are info' },
  redisFailurePolicy: {
    name: 'KEYWRIGHT_REDIS_FAILURE_POLICY',
    kind: 'choice',
    choices: ['LocalShare', 'Closed', 'Open'],
    default: 'LocalShare',
    description:
      'what happens to limits while Redis is away: this process enforces its share, requests are refused, or requests are let through',
  },
  limitMode: {
    name: 'KEYWRIGHT_LIMIT_MODE',
    kind: 'choice',
    choices: ['leased', 'strict'],
    default: 'leased',
    description:
      'whether this process may book a small part of a limit in Redis for the requests of a busy key to come, or asks for each; no window holds more than its limit either way',
  },
  budgetRestore: {
    name: 'KEYWRIGHT_BUDGET_RESTORE',
    kind: 'choice',
    choices: ['Open', 'Closed'],
    default: 'Open',
    description:
      'what happens to a budget whose spend Redis has lost when the operator does not answer within two seconds: it opens with what the proxies have seen, or its requests get 503 until the operator answers',
  },
  replicas: {
    name: 'KEYWRIGHT_REPLICAS',
    kind: 'integer',
    default: '1',
    minimum: 1,
    maximum: 10_000,
    description:
      'how many proxies there are, for their share of a limit while Redis is away; only until they have heard of each other through Redis',
  },
  trustedProxies: { name: 'KEYWRIGHT_TRUSTED_PROXIES', kind: 'list', description: 'addresses or CIDRs whose X-Forwarded-For is believed' },
  corsOrigins: { name: 'KEYWRIGHT_CORS_ORIGINS', kind: 'list', description: 'origins whose browsers may call the gateway, or *' },
  maxBodyBytes: {
    name: 'KEYWRIGHT_MAX_BODY_BYTES',
    kind: 'integer',
    default: '33554432',
    minimum: 1024,
    maximum: 1_073_741_824,
    description: 'largest request body, as sent and as decoded',
  },
  maxBufferedBytes: {
    name: 'KEYWRIGHT_MAX_BUFFERED_BYTES',
    kind: 'integer',
    minimum: 1_048_576,
    description:
      'request bodies and answers held at one time, three quarters of it by one namespace; a quarter of the memory limit unless given; beyond it requests get 503',
  },
  maxInFlight: {
    name: 'KEYWRIGHT_MAX_IN_FLIGHT',
    kind: 'integer',
    default: '10000',
    minimum: 1,
    description: 'requests at one time; beyond it requests get 503',
  },
  drainSeconds: {
    name: 'KEYWRIGHT_DRAIN_SECONDS',
    kind: 'integer',
    default: '600',
    minimum: 0,
    maximum: 86_400,
    description: 'how long running requests may go on after SIGTERM',
  },
  maxKeySeries: {
    name: 'KEYWRIGHT_MAX_KEY_SERIES',
    kind: 'integer',
    default: '5000',
    minimum: 0,
    maximum: 1_000_000,
    description: 'keys with metrics of their own; the rest is counted as other',
  },
  allowLinkLocal: {
    name: 'KEYWRIGHT_ALLOW_LINK_LOCAL',
    kind: 'boolean',
    default: 'false',
    description: 'Channels may point to link-local and metadata addresses',
  },
  unpricedModels: {
    name: 'KEYWRIGHT_UNPRICED_MODELS',
    kind: 'choice',
    choices: ['Deny', 'Allow', 'Price'],
    default: 'Deny',
    description:
      'what happens to requests of keys with a budget when nobody has priced the model: refused, counted as 0, or counted by KEYWRIGHT_UNPRICED_PRICE',
  },
  unpricedPrice: {
    name: 'KEYWRIGHT_UNPRICED_PRICE',
    kind: 'list',
    description: 'dollars by unit for what nobody has priced, as in models[].price of a Channel: input=5,output=25',
  },
  tlsCert: { name: 'KEYWRIGHT_TLS_CERT', kind: 'text', description: 'file with the certificate chain (PEM); serves TLS' },
  tlsKey: { name: 'KEYWRIGHT_TLS_KEY', kind: 'text', description: 'file with the private key of the certificate (PEM)' },
});

/** Settings of `keywright proxy`. */
export const proxySettings = defineSettings({
  ...dataPlaneSettings,
  ...sealSettings,
  redisUrl: {
    name: 'KEYWRIGHT_REDIS_URL',
    kind: 'text',
    secret: true,
    description: 'Redis that holds the limits; may be left out only with KEYWRIGHT_REPLICAS=1',
  },
  snapshotNamespace: {
    name: 'KEYWRIGHT_SNAPSHOT_NAMESPACE',
    kind: 'text',
    default: 'keywright-snapshot',
    description: 'namespace of the snapshot that the operator publishes',
  },
  snapshotCacheDir: {
    name: 'KEYWRIGHT_SNAPSHOT_CACHE_DIR',
    kind: 'text',
    description: 'memory-backed directory that keeps the snapshot over restarts; it then holds provider credentials',
  },
});

export type DataPlaneSettings = Settings<typeof dataPlaneSettings>;

/** Shares of memory that bodies may take: the rest is for answers, the snapshot and the runtime. */
const bodiesShare = 4;

/** The server's part of the settings; `findMistakes` has to have found none. */
export function toServerSettings(settings: DataPlaneSettings): ServerSettings {
  const tls = readTls(settings);
  return {
    listen: settings.listen,
    maxBodyBytes: settings.maxBodyBytes,
    maxBufferedBytes: settings.maxBufferedBytes ?? Math.floor(memoryLimitBytes() / bodiesShare),
    maxInFlight: settings.maxInFlight,
    drainMs: settings.drainSeconds * 1000,
    trustedProxies: settings.trustedProxies,
    corsOrigins: settings.corsOrigins,
    maxKeySeries: settings.maxKeySeries,
    allowLinkLocal: settings.allowLinkLocal,
    unpriced: toUnpriced(settings),
    tls: 'tls' in tls ? tls.tls : undefined,
  };
}

type TextSettings = Partial<
  Pick<DataPlaneSettings, 'trustedProxies' | 'corsOrigins' | 'unpricedModels' | 'unpricedPrice' | 'tlsCert' | 'tlsKey'>
>;

/** The mistakes that the kinds of the table cannot find, in whatever could be read. */
export function findMistakes(settings: TextSettings): readonly string[] {
  const tls = readTls(settings);
  return [
    ...findBadCidrs(settings.trustedProxies ?? []).map((text) => `KEYWRIGHT_TRUSTED_PROXIES must hold addresses and CIDRs, not "${text}"`),
    ...(settings.corsOrigins ?? [])
      .filter((text) => !isOrigin(text))
      .map((text) => `KEYWRIGHT_CORS_ORIGINS must hold origins as browsers send them (https://app.example.com) or *, not "${text}"`),
    ...findUnpricedMistakes(settings),
    ...('mistake' in tls ? [tls.mistake] : []),
  ];
}

function toUnpriced({ unpricedModels, unpricedPrice }: DataPlaneSettings): ServerSettings['unpriced'] {
  const parsed = unpricedModels === 'Price' ? parseUnpricedPrice(unpricedPrice) : undefined;
  return { models: unpricedModels, price: parsed !== undefined && 'price' in parsed ? parsed.price : undefined };
}

/** A price that is given and not used would be taken for one that is. */
function findUnpricedMistakes({ unpricedModels, unpricedPrice = [] }: TextSettings): readonly string[] {
  if (unpricedModels !== 'Price')
    return unpricedPrice.length === 0 ? [] : ['KEYWRIGHT_UNPRICED_PRICE counts only with KEYWRIGHT_UNPRICED_MODELS=Price'];
  const parsed = parseUnpricedPrice(unpricedPrice);
  return 'mistake' in parsed ? [`KEYWRIGHT_UNPRICED_PRICE ${parsed.mistake}`] : [];
}

/** Compared with what browsers send, so that one with a path or in capitals would never match. */
function isOrigin(text: string): boolean {
  return text === '*' || (URL.canParse(text) && new URL(text).origin === text);
}

type Tls = { readonly tls: ServerSettings['tls'] } | { readonly mistake: string };

function readTls({ tlsCert, tlsKey }: TextSettings): Tls {
  if (tlsCert === undefined && tlsKey === undefined) return { tls: undefined };
  if (tlsCert === undefined || tlsKey === undefined)
    return { mistake: 'KEYWRIGHT_TLS_CERT and KEYWRIGHT_TLS_KEY are given together or not at all' };
  let tls: { cert: string; key: string };
  try {
    tls = { cert: readFileSync(tlsCert, 'utf8'), key: readFileSync(tlsKey, 'utf8') };
  } catch (error) {
    return {
      mistake: `KEYWRIGHT_TLS_CERT or KEYWRIGHT_TLS_KEY names a file that cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
    };
  }
  try {
    createSecureContext(tls);
    return { tls };
  } catch {
    // OpenSSL's own words may quote the file
    return { mistake: 'KEYWRIGHT_TLS_CERT and KEYWRIGHT_TLS_KEY must be a certificate and its private key (PEM)' };
  }
}

/** The cgroup's limit where there is one. */
function memoryLimitBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 && constrained < totalmem() ? constrained : totalmem();
}
