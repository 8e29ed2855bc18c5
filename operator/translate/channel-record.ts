import { parseDurationMs } from '../../core/duration.ts';
import type { Channel, ChannelSpec } from '../../core/resources.ts';
import type { Secret } from '../../core/secret.ts';
import type { ChannelCredential, ChannelRecord, Provider } from '../../core/snapshot.ts';
import { toChannelPrice } from './channel-price.ts';
import { compact } from './compact.ts';
import { identify } from './identity.ts';
import type { Problem } from './problem.ts';

interface ProviderDefaults {
  readonly baseUrl?: string;
  readonly header: string;
  readonly scheme: string;
}

/** Where each provider is reached and how it wants its key: their API references. An address is missing where every account has its own. */
export const providerDefaults: Readonly<Record<Exclude<Provider, 'Bedrock' | 'VertexAI'>, ProviderDefaults>> = {
  OpenAI: { baseUrl: 'https://api.openai.com', header: 'authorization', scheme: 'Bearer' },
  OpenAICompatible: { header: 'authorization', scheme: 'Bearer' },
  AzureOpenAI: { header: 'api-key', scheme: '' },
  Anthropic: { baseUrl: 'https://api.anthropic.com', header: 'x-api-key', scheme: '' },
  Gemini: { baseUrl: 'https://generativelanguage.googleapis.com', header: 'x-goog-api-key', scheme: '' },
};

const timeoutDefaultsMs = { connect: 5_000, firstByte: 120_000, idle: 120_000, total: 900_000 } as const;

/** Without `Timeout`: a provider that has not answered in two minutes may still be at work, and would be paid twice; who wants that says so. */
const worthRetrying = ['ConnectFailure', 'Reset', 'RateLimited', 'ServerError'] as const;

/**
 * The bound of one Channel's part of the snapshot, encoded: room for a bundle of public authorities or thousands of namespaces, and still several fit into one shard, so that
 * nobody's Channel stands in the way of a neighbour's.
 */
const largestChannelBytes = 262_144;

export interface ChannelParts {
  readonly channel: Channel;
  readonly provider: keyof typeof providerDefaults;
  readonly baseUrl: string;
  readonly credentials: readonly ChannelCredential[];
  readonly ca: string | undefined;
  readonly namespaces: 'All' | readonly string[];
}

/** What the proxies are told of a Channel whose references are resolved. */
export function toChannelRecord({ channel, provider, baseUrl, credentials, ca, namespaces }: ChannelParts): ChannelRecord {
  const { spec } = channel;
  const { id, uid, generation } = identify(channel);
  const { priority = 100, weight = 100, headers = {} } = spec;
  return compact({
    id,
    uid,
    generation,
    provider,
    baseUrl,
    apiVersion: spec.apiVersion,
    project: spec.project,
    credentials,
    ...toAuth(spec.auth, providerDefaults[provider]),
    models: spec.models?.map(({ name, upstreamName, price }) =>
      compact({ name, upstreamName, price: price === undefined ? undefined : toChannelPrice(price) }),
    ),
    priority,
    weight,
    namespaces,
    timeouts: toTimeouts(spec.timeouts ?? {}),
    retries: { attempts: spec.retries?.attempts ?? 1, on: spec.retries?.on ?? worthRetrying },
    circuitBreaker: toCircuitBreaker(spec.circuitBreaker),
    headers,
    tls: compact({ serverName: spec.tls?.serverName, ca }),
    limits: spec.limits,
    sharedAccount: spec.sharedAccount,
  });
}

/** A header of one's own carries the bare key unless a word is asked for. */
function toAuth(auth: ChannelSpec['auth'], defaults: ProviderDefaults): Pick<ChannelRecord, 'authHeader' | 'authScheme'> {
  const authHeader = auth?.header?.toLowerCase() ?? defaults.header;
  return { authHeader, authScheme: auth?.scheme ?? (authHeader === defaults.header ? defaults.scheme : '') };
}

function toTimeouts({ connect, firstByte, idle, total }: NonNullable<ChannelSpec['timeouts']>): ChannelRecord['timeouts'] {
  return {
    connectMs: toMs(connect, timeoutDefaultsMs.connect),
    firstByteMs: toMs(firstByte, timeoutDefaultsMs.firstByte),
    idleMs: toMs(idle, timeoutDefaultsMs.idle),
    totalMs: toMs(total, timeoutDefaultsMs.total),
  };
}

function toCircuitBreaker(breaker: ChannelSpec['circuitBreaker']): ChannelRecord['circuitBreaker'] {
  if (breaker === undefined) return undefined;
  const { consecutiveFailures, openFor } = breaker;
  return compact({ consecutiveFailures, openMs: openFor === undefined ? undefined : parseDurationMs(openFor) });
}

/** The record as something that can be compared and shown: a credential is what `show` makes of it. */
export function toComparable(record: ChannelRecord, show: (secret: Secret) => string): unknown {
  return { ...record, credentials: record.credentials.map(({ name, weight, secret }) => ({ name, weight, secret: show(secret) })) };
}

/** A record that would fill a shard by itself is not taken. */
export function checkChannelSize(record: ChannelRecord): Problem | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(toComparable(record, (secret) => secret.reveal())));
  if (bytes <= largestChannelBytes) return undefined;
  return {
    reason: 'RecordTooLarge',
    message: `the Channel takes ${bytes} bytes of the snapshot; allowed: ${largestChannelBytes}. Shorten its models, headers, CA bundle or the namespaces that it admits`,
    stalled: true,
  };
}

function toMs(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : parseDurationMs(text);
}
