import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseManifests } from '../standalone/manifests/parse-manifests.ts';
import { withResourceTables } from './generate-docs.ts';
import { formatTypes } from './generate-types.ts';
import { crdPath, readDefinitions } from './schema-file.ts';

describe('the CRDs', () => {
  it.each(['virtualkey.crd.yaml', 'channel.crd.yaml'])('%s means the same in YAML 1.1 (kubectl) and YAML 1.2', (name) => {
    expect(parseManifests(readFileSync(crdPath(name), 'utf8'), name).mistakes).toEqual([]);
  });

  it('are what core/resources.ts was generated from', async () => {
    expect(await formatTypes(readDefinitions())).toBe(readFileSync(new URL('../core/resources.ts', import.meta.url), 'utf8'));
  });

  it('are what the tables of docs/resources.md say', () => {
    const text = readFileSync(new URL('../docs/resources.md', import.meta.url), 'utf8');
    expect(withResourceTables(text)).toBe(text);
  });
});
