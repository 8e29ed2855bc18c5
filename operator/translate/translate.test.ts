import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import type { Channel, VirtualKey } from '../../core/resources.ts';
import { Secret } from '../../core/secret.ts';
import type { ClusterObject, SecretObject } from '../cluster/cluster.ts';
import type { TranslateSettings } from './key-input.ts';
import type { Resources } from './translate.ts';
import { translate } from './translate.ts';

const folder = join(import.meta.dirname, 'testdata');
const settings: TranslateSettings = {
  publicUrl: 'https://gateway.example',
  settleMs: 2_000,
  installationSecret: new Secret('0123456789abcdef0123456789abcdef'),
  allowLinkLocal: false,
  knowsNamespaces: true,
};

/** The first document: what is no manifest. */
interface Situation extends Partial<Pick<Resources, 'records' | 'attempts' | 'filed' | 'firstGeneration'>> {
  readonly now: string;
  readonly published?: Partial<Resources['published']>;
  readonly settings?: Partial<TranslateSettings>;
}

function read(file: string): { situation: Situation; resources: Resources } {
  const documents = parseAllDocuments(readFileSync(join(folder, file), 'utf8')).map((document) => document.toJS() as unknown);
  const situation = documents[0] as Situation;
  const objects = (documents.slice(1) as ClusterObject[]).map(toStored);
  const of = <T>(kind: string) => objects.filter((object) => object.kind === kind) as unknown as T[];
  const resources: Resources = {
    virtualKeys: of<VirtualKey>('VirtualKey'),
    channels: of<Channel>('Channel'),
    secrets: of<SecretObject>('Secret'),
    namespaces: of<ClusterObject>('Namespace').map(({ metadata }) => ({ name: metadata.name, labels: metadata.labels ?? {} })),
    records: situation.records ?? [],
    published: { keys: [], channels: [], atMs: 0, ...situation.published },
    attempts: situation.attempts ?? {},
    filed: situation.filed ?? [],
    firstGeneration: situation.firstGeneration ?? 0,
  };
  return { situation, resources };
}

/** `stringData` is what people write; the API server makes `data` of it. Dates without quotes are strings in JSON. */
function toStored(object: ClusterObject): ClusterObject {
  const plain = JSON.parse(JSON.stringify(object)) as ClusterObject & {
    stringData?: Record<string, string>;
    data?: Record<string, string>;
  };
  const { stringData = {}, ...rest } = plain;
  if (plain.kind !== 'Secret') return rest;
  const data = Object.fromEntries(Object.entries(stringData).map(([name, value]) => [name, Buffer.from(value).toString('base64')]));
  return { ...rest, data: { ...plain.data, ...data } } as ClusterObject;
}

describe('translate', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.in.yaml'));
  it.each(files)('%s', async (file) => {
    const { situation, resources } = read(file);
    const translation = translate(resources, { ...settings, ...situation.settings }, Date.parse(situation.now));
    const shown = stringify(JSON.parse(JSON.stringify(translation)) as unknown, { lineWidth: 0, aliasDuplicateObjects: false });
    await expect(shown).toMatchFileSnapshot(join(folder, file.replace('.in.yaml', '.out.yaml')));
  });

  it('gives the same for the same, and changes nothing that it is given', () => {
    for (const file of files) {
      const { situation, resources } = read(file);
      const before = JSON.stringify(resources);
      const nowMs = Date.parse(situation.now);
      expect(JSON.stringify(translate(resources, settings, nowMs))).toBe(JSON.stringify(translate(resources, settings, nowMs)));
      expect(JSON.stringify(resources)).toBe(before);
    }
  });
});
