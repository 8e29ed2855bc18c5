import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { runLint } from '../../cli/lint.ts';

const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));
/** configuration of Kustomize, which has no kind */
const manifests = files.filter((name) => name !== join('kustomize', 'keywright.yaml'));

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata?: { readonly name?: string };
}

function read(file: string): Manifest[] {
  const documents = parseAllDocuments(readFileSync(join(import.meta.dirname, file), 'utf8'));
  expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
  return documents.map((document) => document.toJS() as Manifest);
}

describe('the GitOps examples', () => {
  it.each(files)('%s can be read', (file) => {
    expect(read(file).length).toBeGreaterThan(0);
  });

  it.each(manifests)('every object of %s has a kind and a name', (file) => {
    for (const { apiVersion, kind, metadata } of read(file)) {
      expect(apiVersion).toMatch(/^([a-z0-9.-]+\/)?v\d+((alpha|beta)\d+)?$/);
      expect(kind).toMatch(/^[A-Z][A-Za-z]+$/);
      if (kind !== 'Kustomization' || apiVersion.startsWith('kustomize.toolkit')) expect(metadata?.name).toMatch(/^[a-z0-9-]+$/);
    }
  });

  it.each(manifests.filter((file) => read(file).some(({ apiVersion }) => apiVersion.startsWith('keywright.dev/'))))(
    'keywright lint finds no mistake in %s',
    async (file) => {
      const lines: string[] = [];
      const output = { print: (line: string) => void lines.push(line), complain: (line: string) => void lines.push(line) };
      expect(await runLint(['-f', join(import.meta.dirname, file)], output)).toBe(0);
      expect(lines.at(-1)).toMatch(/^[1-9]\d* objects, 0 mistakes/);
    },
  );

  it('a Channel’s Secrets and a key’s source that External Secrets fill carry the label of consent', () => {
    const external = read(join('external-secrets', 'external-secret.yaml')).filter(({ kind }) => kind === 'ExternalSecret');
    expect(external).toHaveLength(2);
    for (const each of external)
      expect(each).toMatchObject({ spec: { target: { template: { metadata: { labels: { 'keywright.dev/credential': 'true' } } } } } });
  });
});
