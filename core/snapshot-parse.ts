import { parseJson } from './json.ts';
import { type RevocationsDocument, revocationsReader } from './revocations-document.ts';
import { Secret } from './secret.ts';
import { Flaw, integer, list, map, object, oneOf, optional, type Reader, readShape, text } from './shape.ts';
import {
  type ChannelCredential,
  type ChannelModel,
  type ChannelPrice,
  type ChannelRecord,
  type ChannelShard,
  type CredentialEntry,
  type KeyAccess,
  type KeyBudget,
  type KeyLimits,
  type KeyRecord,
  type KeyShard,
  type SnapshotIndexDocument,
  snapshotReader,
} from './snapshot.ts';

export type SnapshotDocument = KeyShard | ChannelShard | SnapshotIndexDocument | RevocationsDocument;

export type ParsedSnapshotDocument =
  | { readonly ok: true; readonly document: SnapshotDocument }
  /** newer: written for readers that know more than this one; the last good document stays in force */
  | { readonly ok: false; readonly reason: 'invalid' | 'newer'; readonly message: string };

const hash = text(/^[0-9a-f]{64}$/, '64 hex digits');
const id = text(/^[^/]+\/[^/]+$/, 'namespace/name');
const baseUrl = text(/^https?:\/\/[^\s?#]*[^\s?#/]$/, 'an http(s) URL without a slash at its end');
const provider = oneOf('OpenAI', 'AzureOpenAI', 'Anthropic', 'Gemini', 'Bedrock', 'VertexAI', 'OpenAICompatible');
const mode = oneOf('Enforce', 'Shadow');
const windows = { rpm: optional(integer()), tpm: optional(integer()), rpd: optional(integer()), tpd: optional(integer()) };

const keyRecord = object<KeyRecord>({
  id,
  uid: text(),
  generation: integer(),
  gen: integer(),
  state: oneOf('Active', 'Suspended', 'Revoked', 'NotReady'),
  expiresAt: optional(integer()),
  credentials: list(
    object<CredentialEntry>({
      id: text(),
      hash,
      prefix: text(),
      state: oneOf('Pending', 'Active', 'Retiring'),
      notBefore: optional(integer()),
      notAfter: optional(integer()),
    }),
  ),
  access: object<KeyAccess>({
    models: optional(list(text())),
    channels: optional(list(text())),
    providers: optional(list(provider)),
    cidrs: optional(list(text())),
    scopes: optional(list(oneOf('read', 'chat', 'embeddings', 'images', 'audio', 'full'))),
  }),
  limits: optional(
    object<KeyLimits>({
      ...windows,
      concurrency: optional(integer()),
      mode: optional(mode),
      models: optional(list(object<NonNullable<KeyLimits['models']>[number]>({ model: text(), ...windows }))),
    }),
  ),
  budgets: optional(
    list(
      object<KeyBudget>({ period: oneOf('Daily', 'Weekly', 'Monthly', 'Total'), limitNanoUsd: integer(), mode, warnAt: list(integer()) }),
    ),
  ),
  owner: optional(object<NonNullable<KeyRecord['owner']>>({ team: optional(text()), project: optional(text()), user: optional(text()) })),
  tags: optional(map(text())),
});

const nanoUsd = optional(integer());
const channelPrice = object<ChannelPrice>({
  input: nanoUsd,
  cachedInput: nanoUsd,
  cacheWrite: nanoUsd,
  cacheWrite1h: nanoUsd,
  output: nanoUsd,
  audioInput: nanoUsd,
  audioOutput: nanoUsd,
  image: nanoUsd,
  second: nanoUsd,
  character: nanoUsd,
  request: nanoUsd,
  serviceTiers: optional(map(integer())),
});

const channelRecord = object<ChannelRecord>({
  id,
  uid: text(),
  generation: integer(),
  provider,
  baseUrl,
  apiVersion: optional(text()),
  project: optional(text()),
  credentials: list(object<ChannelCredential>({ name: text(), weight: integer(), secret: readSecret })),
  authHeader: text(),
  authScheme: text(),
  models: optional(list(object<ChannelModel>({ name: text(), upstreamName: optional(text()), price: optional(channelPrice) }))),
  priority: integer(),
  weight: integer(),
  namespaces: readNamespaces,
  timeouts: object<ChannelRecord['timeouts']>({ connectMs: integer(), firstByteMs: integer(), idleMs: integer(), totalMs: integer() }),
  retries: object<ChannelRecord['retries']>({
    attempts: integer(),
    on: list(oneOf('ConnectFailure', 'Reset', 'RateLimited', 'ServerError', 'Timeout')),
  }),
  circuitBreaker: optional(
    object<NonNullable<ChannelRecord['circuitBreaker']>>({ consecutiveFailures: optional(integer(1)), openMs: optional(integer()) }),
  ),
  headers: map(text()),
  tls: object<ChannelRecord['tls']>({ serverName: optional(text()), ca: optional(text()) }),
  limits: optional(
    object<NonNullable<ChannelRecord['limits']>>({ rpm: optional(integer()), tpm: optional(integer()), concurrency: optional(integer()) }),
  ),
  sharedAccount: optional(
    object<NonNullable<ChannelRecord['sharedAccount']>>({
      promptCacheKey: optional(oneOf('Prefix')),
      safetyIdentifier: optional(oneOf('FromKey')),
      serviceTiers: optional(list(text())),
    }),
  ),
});

const versions = { schema: integer(1), minReader: integer(1) };
const shard = { ...versions, epoch: integer(), bucket: integer(), buckets: integer(1), revision: text(), publishedAt: integer() };

const readers: Readonly<Record<SnapshotDocument['kind'], Reader<SnapshotDocument>>> = {
  keys: object<KeyShard>({ kind: oneOf('keys'), ...shard, records: list(keyRecord) }),
  channels: object<ChannelShard>({ kind: oneOf('channels'), ...shard, records: list(channelRecord) }),
  index: object<SnapshotIndexDocument>({
    kind: oneOf('index'),
    ...versions,
    epoch: integer(),
    keyBuckets: integer(1),
    channelBuckets: integer(1),
  }),
  revocations: revocationsReader,
};

/** Read first, so that a document for newer readers is called newer however much its other fields have changed. */
const newness = object<{ minReader: number }>({ minReader: integer(1) });
const kindOf = object<{ kind: SnapshotDocument['kind'] }>({ kind: oneOf('keys', 'channels', 'index', 'revocations') });

/**
 * Reads a snapshot document (JSON text, already gunzipped); a credential of a channel becomes a `Secret`.
 * Strict: a wrong type, a missing field or an unknown word anywhere refuses the whole document, and the message says where but not what stood
 * there. Unknown fields are let be and left out.
 */
export function parseSnapshotDocument(json: string): ParsedSnapshotDocument {
  const value = parseJson(json);
  const version = readShape(newness, value);
  if (version.ok && version.value.minReader > snapshotReader) {
    return { ok: false, reason: 'newer', message: `needs a reader of version ${version.value.minReader}, this one is ${snapshotReader}` };
  }
  const kind = readShape(kindOf, value);
  if (!kind.ok) return { ok: false, reason: 'invalid', message: kind.message };
  const document = readShape(readers[kind.value.kind], value);
  return document.ok ? { ok: true, document: document.value } : { ok: false, reason: 'invalid', message: document.message };
}

/**
 * The JSON text of a document, names in alphabetical order, so that equal documents have equal texts.
 * The only place that writes the plaintext of a provider credential.
 */
export function formatSnapshotDocument(document: SnapshotDocument): string {
  if (document.kind !== 'keys') return JSON.stringify(toPlain(document));
  const { records, ...header } = document;
  const fields = Object.entries({ ...header, records: undefined }).toSorted(([one], [other]) => (one < other ? -1 : 1));
  const texts = fields.map(
    ([name, value]) => `"${name}":${name === 'records' ? `[${records.map(formatKey).join(',')}]` : JSON.stringify(value)}`,
  );
  return `{${texts.join(',')}}`;
}

/** Records are replaced, never changed, and a shard is written again for each change of one of its hundreds: so each is formatted once. Keys hold no secret; Channels do, and are not kept. */
const keyTexts = new WeakMap<KeyRecord, string>();

function formatKey(record: KeyRecord): string {
  const known = keyTexts.get(record);
  if (known !== undefined) return known;
  const text = JSON.stringify(toPlain(record));
  keyTexts.set(record, text);
  return text;
}

function toPlain(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal();
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([name, each]) => [name, toPlain(each)]));
}

function readSecret(value: unknown): Secret | Flaw {
  return typeof value === 'string' ? new Secret(value) : new Flaw('a string');
}

const namespaceList = list(text());

function readNamespaces(value: unknown): 'All' | readonly string[] | Flaw {
  return value === 'All' ? value : namespaceList(value);
}
