import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { afterEach, describe, expect, it } from 'vitest';
import { formatSnapshotDocument, parseSnapshotDocument } from '../core/snapshot-parse.ts';
import type { KeyRecord } from '../core/snapshot.ts';
import { snapshotReader, snapshotSchema } from '../core/snapshot.ts';
import type { SecretObject } from '../operator/cluster/cluster.ts';
import { toShard } from '../operator/snapshot/snapshot-documents.ts';
import { providerKey, World } from '../operator/test-world.ts';
import { sha256Hex } from '../runtime/digest.ts';

const root = join(import.meta.dirname, '../core/testdata');
const schemas = readdirSync(root)
  .flatMap((folder) => /^schema-(\d+)$/.exec(folder)?.[1] ?? [])
  .map(Number)
  .toSorted((left, right) => left - right);
const newest = schemas.at(-1) ?? 0;
/** Whose readers still run: those of this version and of the one before. */
const livingReaders = schemas.slice(-2);

const readFile = (schema: number, file: string): string => readFileSync(join(root, `schema-${schema}`, file), 'utf8');
const recorded = (schema: number): readonly string[] =>
  readdirSync(join(root, `schema-${schema}`)).filter((file) => file.endsWith('.json') && file !== 'reader.schema.json');

/** The frozen reader of a schema: what is wrong with a document, or nothing. */
function makeFrozenReader(schema: number): (document: unknown) => string | undefined {
  const ajv = new Ajv2020({ strict: false });
  const validate = ajv.compile(JSON.parse(readFile(schema, 'reader.schema.json')) as object);
  return (document) => (validate(document) ? undefined : ajv.errorsText(validate.errors));
}

let world: World | undefined;
afterEach(async () => {
  await world?.stop();
  world = undefined;
});

describe('the recorded documents of every schema', () => {
  it('are there for the schema that this version writes, and their reader takes them', () => {
    expect([newest, snapshotReader]).toEqual([snapshotSchema, snapshotSchema]);
    for (const schema of schemas) {
      expect(recorded(schema)).toEqual(expect.arrayContaining(['channels.json', 'index.json', 'keys.json', 'revocations.json']));
      const read = makeFrozenReader(schema);
      for (const file of recorded(schema)) expect([file, read(JSON.parse(readFile(schema, file)))]).toEqual([file, undefined]);
    }
  });

  it.each(schemas)('of schema %i are read by this version, and nothing of them is lost', (schema) => {
    for (const file of recorded(schema)) {
      const text = readFile(schema, file);
      const parsed = parseSnapshotDocument(text);
      if (!parsed.ok) throw new Error(`${file}: ${parsed.message}`);
      // a field that this version has dropped for good is taken out of the recorded document by whoever drops it
      expect(JSON.parse(formatSnapshotDocument(parsed.document))).toEqual(JSON.parse(text));
    }
  });
});

/** The document with one thing changed, for every thing in it. */
function* variants(value: unknown): Iterable<unknown> {
  for (const other of [null, '', 'word', -1, 1.5, [], {}, true]) yield other;
  if (Array.isArray(value)) {
    for (const [at, each] of value.entries())
      for (const other of variants(each)) yield value.map((item: unknown, index) => (index === at ? other : item));
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, each] of Object.entries(value)) {
      yield Object.fromEntries(Object.entries(value).filter(([other]) => other !== name));
      for (const other of variants(each)) yield { ...value, [name]: other };
    }
  }
}

describe('what an older version may have written', () => {
  it.each(livingReaders)('as far as the reader of schema %i takes it, this one does', (schema) => {
    const read = makeFrozenReader(schema);
    let [taken, refused] = [0, 0];
    for (const file of recorded(schema)) {
      for (const variant of variants(JSON.parse(readFile(schema, file)))) {
        const isTaken = read(variant) === undefined;
        const isTakenHere = parseSnapshotDocument(JSON.stringify(variant)).ok;
        // of its own schema the frozen reader is this reader; of an older one it may take less
        if (schema === snapshotSchema ? isTaken !== isTakenHere : isTaken && !isTakenHere)
          throw new Error(`${file}: the two readers disagree about ${JSON.stringify(variant)}`);
        if (isTaken) taken += 1;
        else refused += 1;
      }
    }
    expect(taken).toBeGreaterThan(50);
    expect(refused).toBeGreaterThan(500);
  });
});

function documentsOf(cluster: World['cluster']): unknown[] {
  return cluster.objects().flatMap((object) => {
    const data = object.metadata.namespace === 'snapshot' ? (object as SecretObject).data?.['document'] : undefined;
    return data === undefined ? [] : [JSON.parse(gunzipSync(Buffer.from(data, 'base64')).toString()) as unknown];
  });
}

describe('what this operator writes', () => {
  it.each(livingReaders)('is read by proxies with the reader of schema %i', async (schema) => {
    world = new World();
    await world.start();
    await world.applySecret('provider', { key: providerKey.reveal() }, { namespace: 'platform' });
    const apiKeys = [{ name: 'one', secretRef: { name: 'provider', key: 'key' } }];
    await world.applyChannel('openai', {
      provider: 'OpenAI',
      auth: { apiKeys },
      allowedNamespaces: { from: 'All' },
      models: [{ name: 'gpt-*' }],
    });
    await world.applyKey('generated', { access: { channels: ['platform/openai'], scopes: ['chat'] }, limits: { rpm: 3, mode: 'Shadow' } });
    await world.applyKey('brought', {
      credential: { hashes: [{ hash: `sha256:${sha256Hex('brought')}`, notAfter: '2026-03-01T00:00:00Z' }] },
    });
    await world.applyKey('suspended', {
      suspended: true,
      budgets: [{ period: 'Daily', limit: '5' }],
      owner: { team: 'a' },
      tags: { b: 'c' },
    });
    await world.advance(20_000);
    await world.applyKey('generated', { revoked: true });
    await world.advance(5_000);
    const read = makeFrozenReader(schema);
    const documents = documentsOf(world.cluster);
    expect(documents.length).toBe(73);
    for (const document of documents) expect([document, read(document)]).toEqual([document, undefined]);
  });

  it.each(livingReaders)('in every case of the golden files is read by proxies with the reader of schema %i', (schema) => {
    const read = makeFrozenReader(schema);
    const folder = join(import.meta.dirname, '../operator/translate/testdata');
    let keys = 0;
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.out.yaml'))) {
      const { snapshot } = parse(readFileSync(join(folder, file), 'utf8')) as { snapshot: { keys?: KeyRecord[] } };
      const records = snapshot.keys ?? [];
      keys += records.length;
      const layout = { epoch: 1, keyBuckets: 1, channelBuckets: 1 };
      const shard = toShard({ layout, kind: 'keys', bucket: 0, records, publishedAt: 0 });
      expect([file, read(JSON.parse(formatSnapshotDocument(shard)))]).toEqual([file, undefined]);
    }
    expect(keys).toBeGreaterThan(30);
  });
});
