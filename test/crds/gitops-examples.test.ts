import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { installCrds } from './kubernetes-api.ts';

const folder = join(import.meta.dirname, '..', '..', 'examples', 'gitops');

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: Readonly<Record<string, unknown>>;
}

const parse = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as Manifest);
const isKnown = ({ apiVersion }: Manifest) => ['keywright.dev/v1alpha1', 'v1', 'apps/v1'].includes(apiVersion);

let controlPlane: ControlPlane;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  await installCrds(controlPlane);
  for (const namespace of ['argocd', 'team-search']) await controlPlane.kubectl('create', 'namespace', namespace);
});
afterAll(async () => {
  await controlPlane?.stop();
});

async function tryOnServer(manifests: readonly Manifest[]): Promise<number> {
  const text = manifests.map((manifest) => stringify(manifest)).join('---\n');
  const output = await controlPlane.applyWith(['--dry-run=server'], text);
  return output.match(/\(server dry run\)/g)?.length ?? 0;
}

describe('the GitOps examples at a real API server', () => {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));
  const known = files.map((name) => ({ name, manifests: parse(readFileSync(join(folder, name), 'utf8')).filter(isKnown) }));

  it.each(known.filter(({ manifests }) => manifests.length > 0))('accepts what it knows of $name', async ({ manifests }) => {
    expect(await tryOnServer(manifests)).toBe(manifests.length);
  });

  it('Kustomize renames Secrets and Channels, and what refers to them', async () => {
    const built = parse(await controlPlane.kubectl('kustomize', join(folder, 'kustomize')));
    const named = (kind: string) => built.find((manifest) => manifest.kind === kind);
    const secret = named('Secret')?.metadata.name ?? '';
    expect(secret).toMatch(/^staging-provider-[a-z0-9]{10}$/);
    expect(named('Channel')).toMatchObject({
      metadata: { name: 'staging-openai', namespace: 'team-search' },
      spec: { auth: { apiKeys: [{ name: 'main', secretRef: { name: secret, key: 'key' } }] } },
    });
    expect(named('VirtualKey')).toMatchObject({
      metadata: { name: 'staging-search' },
      spec: { access: { channels: ['staging-openai'] }, delivery: { secretName: 'search-key' } },
    });
    expect(await tryOnServer(built)).toBe(3);
  });
});
