import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from './secret.ts';
import { formatSnapshotDocument, parseSnapshotDocument, type SnapshotDocument } from './snapshot-parse.ts';
import {
  type ChannelRecord,
  type ChannelShard,
  type KeyRecord,
  type KeyShard,
  type SnapshotIndexDocument,
  snapshotReader,
} from './snapshot.ts';

const integers = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const names = fc.stringMatching(/^[a-z0-9-]{1,12}$/);
const ids = fc.tuple(names, names).map(([namespace, name]) => `${namespace}/${name}`);
const texts = fc.string({ unit: 'grapheme' });
const providers = fc.constantFrom('OpenAI', 'AzureOpenAI', 'Anthropic', 'Gemini', 'Bedrock', 'VertexAI', 'OpenAICompatible');
const modes = fc.constantFrom('Enforce', 'Shadow');
const windows = { rpm: integers, tpm: integers, rpd: integers, tpd: integers };
const free = { requiredKeys: [] };

const keyRecords = fc.record(
  {
    id: ids,
    uid: texts,
    generation: integers,
    gen: integers,
    state: fc.constantFrom('Active', 'Suspended', 'Revoked', 'NotReady'),
    expiresAt: integers,
    credentials: fc.array(
      fc.record(
        {
          id: texts,
          hash: fc.stringMatching(/^[0-9a-f]{64}$/),
          prefix: texts,
          state: fc.constantFrom('Pending', 'Active', 'Retiring'),
          notBefore: integers,
          notAfter: integers,
        },
        { requiredKeys: ['id', 'hash', 'prefix', 'state'] },
      ),
      { maxLength: 2 },
    ),
    access: fc.record(
      {
        models: fc.array(texts),
        channels: fc.array(ids),
        providers: fc.array(providers),
        cidrs: fc.array(texts),
        scopes: fc.array(fc.constantFrom('read', 'chat', 'embeddings', 'images', 'audio', 'full')),
      },
      free,
    ),
    limits: fc.record(
      {
        ...windows,
        concurrency: integers,
        mode: modes,
        models: fc.array(fc.record({ model: texts, ...windows }, { requiredKeys: ['model'] }), { maxLength: 2 }),
      },
      free,
    ),
    budgets: fc.array(
      fc.record({
        period: fc.constantFrom('Daily', 'Weekly', 'Monthly', 'Total'),
        limitNanoUsd: integers,
        mode: modes,
        warnAt: fc.array(integers),
      }),
      { maxLength: 2 },
    ),
    owner: fc.record({ team: texts, project: texts, user: texts }, free),
    tags: fc.dictionary(fc.oneof(texts, fc.constant('__proto__')), texts),
  },
  { requiredKeys: ['id', 'uid', 'generation', 'gen', 'state', 'credentials', 'access'] },
) as fc.Arbitrary<KeyRecord>;

const prices = fc.record(
  {
    input: integers,
    cachedInput: integers,
    cacheWrite: integers,
    cacheWrite1h: integers,
    output: integers,
    audioInput: integers,
    audioOutput: integers,
    image: integers,
    second: integers,
    character: integers,
    request: integers,
    serviceTiers: fc.dictionary(texts, integers),
  },
  free,
);

const channelRecords = fc.record(
  {
    id: ids,
    uid: texts,
    generation: integers,
    provider: providers,
    baseUrl: fc.constantFrom('https://api.openai.com', 'http://127.0.0.1:8080/openai'),
    apiVersion: texts,
    project: texts,
    credentials: fc.array(fc.record({ name: texts, weight: integers, secret: texts.map((text) => new Secret(text)) }), { maxLength: 2 }),
    authHeader: texts,
    authScheme: texts,
    models: fc.array(fc.record({ name: texts, upstreamName: texts, price: prices }, { requiredKeys: ['name'] }), { maxLength: 3 }),
    priority: integers,
    weight: integers,
    namespaces: fc.oneof(fc.constant('All'), fc.array(names)),
    timeouts: fc.record({ connectMs: integers, firstByteMs: integers, idleMs: integers, totalMs: integers }),
    retries: fc.record({
      attempts: integers,
      on: fc.array(fc.constantFrom('ConnectFailure', 'Reset', 'RateLimited', 'ServerError', 'Timeout')),
    }),
    headers: fc.dictionary(texts, texts),
    tls: fc.record({ serverName: texts, ca: texts }, free),
    limits: fc.record({ rpm: integers, tpm: integers, concurrency: integers }, free),
    sharedAccount: fc.record(
      { promptCacheKey: fc.constant('Prefix' as const), safetyIdentifier: fc.constant('FromKey' as const), serviceTiers: fc.array(texts) },
      free,
    ),
  },
  {
    requiredKeys: [
      'id',
      'uid',
      'generation',
      'provider',
      'baseUrl',
      'credentials',
      'authHeader',
      'authScheme',
      'priority',
      'weight',
      'namespaces',
      'timeouts',
      'retries',
      'headers',
      'tls',
    ],
  },
) as fc.Arbitrary<ChannelRecord>;

const header = {
  schema: fc.constant(1),
  minReader: fc.constant(1),
  epoch: integers,
  bucket: integers,
  buckets: fc.constant(64),
  revision: texts,
  publishedAt: integers,
};
const keyShards = fc.record({
  kind: fc.constant('keys'),
  ...header,
  records: fc.array(keyRecords, { maxLength: 3 }),
}) as fc.Arbitrary<KeyShard>;
const channelShards = fc.record({
  kind: fc.constant('channels'),
  ...header,
  records: fc.array(channelRecords, { maxLength: 3 }),
}) as fc.Arbitrary<ChannelShard>;
const indexes = fc.record({
  kind: fc.constant('index'),
  schema: fc.constant(1),
  minReader: fc.constant(1),
  epoch: integers,
  keyBuckets: fc.integer({ min: 1, max: 4096 }),
  channelBuckets: fc.integer({ min: 1, max: 4096 }),
}) as fc.Arbitrary<SnapshotIndexDocument>;
const documents: fc.Arbitrary<SnapshotDocument> = fc.oneof(keyShards, channelShards, indexes);

/** Secrets made comparable. */
function opened(document: SnapshotDocument): unknown {
  if (document.kind !== 'channels') return document;
  const records = document.records.map((record) => ({
    ...record,
    credentials: record.credentials.map((credential) => ({ ...credential, secret: credential.secret.reveal() })),
  }));
  return { ...document, records };
}

function parsed(json: string): SnapshotDocument {
  const result = parseSnapshotDocument(json);
  if (!result.ok) throw new Error(result.message);
  return result.document;
}

const example = (value: fc.Arbitrary<SnapshotDocument>): Record<string, unknown> => {
  const [document] = fc.sample(value, { numRuns: 1, seed: 42 });
  return JSON.parse(formatSnapshotDocument(document as SnapshotDocument)) as Record<string, unknown>;
};
const secretText = 'sk-provider-plaintext';
const channel: ChannelRecord = {
  id: 'default/openai',
  uid: 'u',
  generation: 1,
  provider: 'OpenAI',
  baseUrl: 'https://api.openai.com',
  credentials: [{ name: 'main', weight: 1, secret: new Secret(secretText) }],
  authHeader: 'authorization',
  authScheme: 'Bearer',
  priority: 100,
  weight: 100,
  namespaces: ['default'],
  timeouts: { connectMs: 1, firstByteMs: 1, idleMs: 1, totalMs: 1 },
  retries: { attempts: 1, on: ['Reset'] },
  headers: {},
  tls: {},
};
const shardOf = (...records: ChannelRecord[]): ChannelShard => ({
  kind: 'channels',
  schema: 1,
  minReader: 1,
  epoch: 1,
  bucket: 0,
  buckets: 8,
  revision: 'r',
  publishedAt: 5,
  records,
});

describe('a document', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(documents, (document) => {
        expect(opened(parsed(formatSnapshotDocument(document)))).toEqual(opened(document));
      }),
    );
  });

  it('has one text, in whatever order its fields were set', () => {
    const reversed = Object.fromEntries(Object.entries(shardOf(channel)).toReversed()) as unknown as ChannelShard;
    expect(formatSnapshotDocument(reversed)).toBe(formatSnapshotDocument(shardOf(channel)));
  });

  it('has its names in alphabetical order everywhere, also where a record was formatted before', () => {
    fc.assert(
      fc.property(documents, (document) => {
        const text = formatSnapshotDocument(document);
        const sorted = JSON.stringify(JSON.parse(text), (_name, value: unknown) =>
          typeof value === 'object' && value !== null && !Array.isArray(value)
            ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
            : value,
        );
        expect(text).toBe(sorted);
        expect(formatSnapshotDocument(document)).toBe(text);
      }),
    );
  });

  it('keeps the credential of a channel, where nothing that prints can see it', () => {
    const document = parsed(formatSnapshotDocument(shardOf(channel)));
    expect(document.kind === 'channels' && document.records[0]?.credentials[0]?.secret.reveal()).toBe(secretText);
    expect(JSON.stringify(document)).not.toContain(secretText);
    expect(JSON.stringify(document)).toContain('[secret]');
  });

  it('may hold fields that only newer readers know, anywhere', () => {
    const { records, ...rest } = JSON.parse(formatSnapshotDocument(shardOf(channel))) as { records: object[] };
    const newer = { ...rest, news: 1, records: records.map((record) => ({ ...record, news: { deep: true } })) };
    expect(opened(parsed(JSON.stringify(newer)))).toEqual(opened(shardOf(channel)));
  });
});

describe('a document that is refused', () => {
  it('is called newer when it is made for newer readers, however strange it is otherwise', () => {
    for (const document of [{ minReader: snapshotReader + 1 }, { ...example(keyShards), minReader: snapshotReader + 1, records: 'none' }]) {
      expect(parseSnapshotDocument(JSON.stringify(document))).toMatchObject({ ok: false, reason: 'newer' });
    }
  });

  const key: KeyRecord = {
    id: 'default/app',
    uid: 'u',
    generation: 1,
    gen: 0,
    state: 'Active',
    credentials: [{ id: 'i', hash: 'a'.repeat(64), prefix: '', state: 'Active' }],
    access: {},
  };
  const keyCases = [
    ['an unknown state', { state: 'Sleeping' }, 'state'],
    ['an unknown scope', { access: { scopes: ['video'] } }, 'access.scopes[0]'],
    ['an unknown provider', { access: { providers: ['OpenAI', 'Acme'] } }, 'access.providers[1]'],
    ['an unknown period', { budgets: [{ period: 'Hourly', limitNanoUsd: 1, mode: 'Enforce', warnAt: [] }] }, 'budgets[0].period'],
    ['an expiry that is text', { expiresAt: '2026-01-01' }, 'expiresAt'],
    ['an expiry that is null', { expiresAt: null }, 'expiresAt'],
    ['a negative limit', { limits: { rpm: -1 } }, 'limits.rpm'],
    ['a fraction', { limits: { tpm: 0.5 } }, 'limits.tpm'],
    ['a hash in capitals', { credentials: [{ id: 'i', hash: 'A'.repeat(64), prefix: '', state: 'Active' }] }, 'credentials[0].hash'],
    ['no access', { access: undefined }, 'access'],
    ['an id without a namespace', { id: 'app' }, 'id'],
    ['a list for an object', { access: [] }, 'access'],
    ['a tag that is no text', { tags: { a: 1 } }, 'tags.a'],
  ] as const;
  it.each(keyCases)('because of %s, says where', (_what, change, path) => {
    const document = { ...shardOf(), kind: 'keys', records: [key, { ...key, ...change }] };
    const result = parseSnapshotDocument(JSON.stringify(document));
    expect(result).toMatchObject({ ok: false, reason: 'invalid', message: expect.stringContaining(`$.records[1].${path}: must be `) });
  });

  it.each([
    ['a price that is text', { input: '2.5' }, 'input'],
    ['half a nano-dollar', { output: 0.5 }, 'output'],
    ['a negative price', { request: -1 }, 'request'],
    ['a multiplier that is a fraction', { serviceTiers: { flex: 0.5 } }, 'serviceTiers.flex'],
  ])('because of %s, says where', (_what, price, path) => {
    const document = { ...JSON.parse(formatSnapshotDocument(shardOf(channel))), records: [{ ...channel, models: [{ name: 'm', price }] }] };
    document.records[0].credentials = [];
    const result = parseSnapshotDocument(JSON.stringify(document));
    expect(result).toMatchObject({ ok: false, message: expect.stringContaining(`$.records[0].models[0].price.${path}: must be `) });
  });

  it.each([
    ['no JSON', '{"kind":"keys"'],
    ['no object', '[]'],
    ['nothing', ''],
    ['another kind', '{"kind":"other","minReader":1}'],
    ['no version', '{"kind":"index","epoch":1,"keyBuckets":1,"channelBuckets":1}'],
  ])('because it is %s', (_what, json) => expect(parseSnapshotDocument(json)).toMatchObject({ ok: false, reason: 'invalid' }));

  it('does not show what stood there', () => {
    const document = JSON.parse(formatSnapshotDocument(shardOf(channel))) as {
      records: { credentials: { secret: unknown; name: unknown }[] }[];
    };
    const credential = document.records[0]?.credentials[0];
    if (credential !== undefined) credential.secret = [secretText];
    const messages = [parseSnapshotDocument(JSON.stringify(document)), parseSnapshotDocument(`{"secret":"${secretText}`)];
    for (const result of messages) {
      expect(result.ok).toBe(false);
      expect(JSON.stringify(result)).not.toContain(secretText);
    }
  });

  it('never makes the parser throw, nor gives half a document', () => {
    const mutated = fc.tuple(documents, fc.jsonValue(), fc.nat()).map(([document, value, position]) => {
      const plain = JSON.parse(formatSnapshotDocument(document)) as unknown;
      return replaceAt(plain, { left: position % Math.max(1, countOf(plain)) }, value);
    });
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), mutated), (value) => {
        const result = parseSnapshotDocument(JSON.stringify(value));
        // What is accepted can be written and read again.
        const again = result.ok ? parseSnapshotDocument(formatSnapshotDocument(result.document)).ok : result.message !== '';
        expect(again).toBe(true);
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseSnapshotDocument(text).ok).toBe(false);
      }),
    );
  });
});

function countOf(value: unknown): number {
  return typeof value === 'object' && value !== null ? Object.values(value).reduce<number>((sum, each) => sum + countOf(each), 1) : 1;
}

/** A copy in which the n-th value (depth first) is another one. */
function replaceAt(value: unknown, position: { left: number }, other: unknown): unknown {
  position.left -= 1;
  if (position.left < 0) return position.left === -1 ? other : value;
  if (Array.isArray(value)) return value.map((each) => replaceAt(each, position, other));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, replaceAt(each, position, other)]));
}
