import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VirtualKey } from '../../core/resources.ts';
import { untilHolds } from '../support/eventually.ts';
import { makeHelm } from '../support/helm.ts';
import { toKStatus } from '../support/kstatus.ts';
import { channelManifests, type Installation, startInstallation, untilStatus, virtualKey } from './installation.ts';
import { readKey, readSecret, untilKey } from './key-objects.ts';

let installation: Installation;
let helm: Awaited<ReturnType<typeof makeHelm>>;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 1 });
  helm = await makeHelm(installation.controlPlane);
  await installation.apply(channelManifests(installation.provider));
});
afterAll(async () => {
  await installation?.stop();
});

const apply = (flags: readonly string[], manifest: string): Promise<string> => installation.controlPlane.applyWith(flags, manifest);

function write(name: string, text: string): string {
  const path = join(installation.directory, name);
  writeFileSync(path, text);
  return path;
}

/** A chart with these templates. */
function makeChart(name: string, templates: Record<string, string>): string {
  const directory = join(installation.directory, name);
  mkdirSync(join(directory, 'templates'), { recursive: true });
  writeFileSync(join(directory, 'Chart.yaml'), `apiVersion: v2\nname: ${name}\nversion: 1.0.0\n`);
  for (const [file, text] of Object.entries(templates)) writeFileSync(join(directory, 'templates', `${file}.yaml`), text);
  return directory;
}

function key(name: string, spec: string): string {
  return `apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
}

const install = (release: string, chart: string): Promise<string> => helm('install', release, chart, '--wait', '--timeout', '100s');

describe('Helm 4 with --wait', () => {
  it('waits until every key is ready; a revoked, a suspended and an expired one hold up nothing', async () => {
    const chart = makeChart('good', {
      app: key('helm-app', '{ limits: { rpm: 60 } }'),
      ended: [
        key('helm-revoked', '{ revoked: true }'),
        key('helm-suspended', '{ suspended: true }'),
        key('helm-expired', '{ expiresAt: "2020-01-01T00:00:00Z" }'),
      ].join('---\n'),
    });
    await install('good', chart);
    // No waiting here: Helm has waited.
    for (const name of ['app', 'revoked', 'suspended', 'expired'])
      expect(toKStatus(await readKey(installation, `helm-${name}`))).toBe('Current');
    const [proxy] = installation.proxies;
    if (proxy === undefined) throw new Error('no proxy');
    await untilStatus(proxy, await installation.deliveredKey('helm-app'), 200);
    expect((await readKey(installation, 'helm-revoked')).status?.phase).toBe('Revoked');
  }, 120_000);

  it('upgrades with a revocation and with an edit, and waits for the edit', async () => {
    const chart = makeChart('good', {
      app: key('helm-app', '{ limits: { rpm: 90 }, displayName: edited }'),
      ended: key('helm-suspended', '{ revoked: true }'),
    });
    await helm('upgrade', 'good', chart, '--wait', '--timeout', '100s');
    const edited = await readKey(installation, 'helm-app');
    expect(edited.status?.observedGeneration).toBe(edited.metadata.generation);
    expect(edited.spec.displayName).toBe('edited');
    expect(toKStatus(edited)).toBe('Current');
    expect((await readKey(installation, 'helm-suspended')).status?.phase).toBe('Revoked');
  }, 120_000);

  it('fails at a mistake that only an edit mends, long before its time is over', async () => {
    const weak =
      'apiVersion: v1\nkind: Secret\nmetadata: { name: weak, labels: { keywright.dev/credential: "true" } }\nstringData: { key: short }\n';
    const chart = makeChart('bad', { secret: weak, key: key('helm-weak', '{ credential: { secretRef: { name: weak, key: key } } }') });
    const failure = await install('bad', chart).then(
      () => 'installed',
      (error: unknown) => String(error),
    );
    expect(failure).toMatch(/helm-weak/);
    // Neither Helm's own time-out nor an exhausted deadline.
    expect(failure).not.toMatch(/deadline|timed out/i);
    expect(toKStatus(await readKey(installation, 'helm-weak'))).toBe('Failed');
  }, 120_000);

  it('puts its marks on the VirtualKey alone: the delivery Secret stays what it is through upgrade and uninstall', async () => {
    expect((await readKey(installation, 'helm-app')).metadata).toMatchObject({
      labels: { 'app.kubernetes.io/managed-by': 'Helm' },
      annotations: { 'meta.helm.sh/release-name': 'good' },
    });
    const secret = await readSecret(installation, 'helm-app-virtualkey');
    expect(secret.metadata.labels).toEqual({ 'keywright.dev/key': 'helm-app' });
    expect(secret.metadata.annotations ?? {}).toEqual({});
    await helm('uninstall', 'good', '--wait', '--timeout', '60s');
    await expect(readKey(installation, 'helm-app')).rejects.toThrow('NotFound');
    // Its end is the garbage collector's, which this control plane has not.
    expect((await readSecret(installation, 'helm-app-virtualkey')).metadata.ownerReferences).toMatchObject([
      { kind: 'VirtualKey', name: 'helm-app', controller: true, blockOwnerDeletion: false },
    ]);
  }, 120_000);
});

const full = (): string => readFileSync(join(import.meta.dirname, '..', '..', 'examples', 'virtualkey-full.yaml'), 'utf8');

describe('what was applied stays what it was', () => {
  const minimal = virtualKey('diff-minimal');

  it('kubectl diff is clean after the reconcile, also of the full example, client-side and server-side', async () => {
    await installation.apply(`${full()}\n---\n${minimal}`);
    await untilKey(installation, 'diff-minimal', { ready: 'True', reason: 'Issued' });
    const file = write('diff.yaml', `${full()}\n---\n${minimal}---\n${channelManifests(installation.provider)}`);
    await untilHolds(async () => expect((await readKey(installation, 'checkout-assistant')).status?.observedGeneration).toBe(1));
    expect(await installation.kubectl('diff', '-f', file)).toBe('');
    const manager = ['--server-side', '--field-manager=argocd-controller'];
    await apply([...manager, '--force-conflicts'], readFileSync(file, 'utf8'));
    expect(await installation.kubectl('diff', ...manager, '-f', file)).toBe('');
    expect((await readKey(installation, 'diff-minimal')).metadata.generation).toBe(1);
  });

  it('two field managers share a key by server-side apply, and the operator takes nothing from either', async () => {
    const owned = (spec: string): string => virtualKey('diff-shared', spec);
    await apply(['--server-side', '--field-manager=team'], owned('{ displayName: Search, limits: { rpm: 60 } }'));
    await untilKey(installation, 'diff-shared', { ready: 'True', reason: 'Issued' });
    await apply(['--server-side', '--field-manager=platform'], owned('{ access: { models: ["gpt-*"] } }'));
    await untilKey(installation, 'diff-shared', { ready: 'True', reason: 'Issued', generation: 2 });
    // Each applies its own again without a conflict: the operator owns nothing but the status.
    await apply(['--server-side', '--field-manager=team'], owned('{ displayName: Search, limits: { rpm: 90 } }'));
    await untilKey(installation, 'diff-shared', { ready: 'True', reason: 'Issued', generation: 3 });
    expect((await readKey(installation, 'diff-shared')).spec).toEqual({
      displayName: 'Search',
      limits: { rpm: 90 },
      access: { models: ['gpt-*'] },
    });
    await expect(apply(['--server-side', '--field-manager=platform'], owned('{ displayName: Other }'))).rejects.toThrow(
      /conflict with "team"/,
    );
    // What a manager no longer says is gone, and the other's stays.
    await apply(['--server-side', '--field-manager=team'], owned('{ limits: { rpm: 90 } }'));
    expect((await readKey(installation, 'diff-shared')).spec).toEqual({ limits: { rpm: 90 }, access: { models: ['gpt-*'] } });
  });

  it('the operator is a manager of statuses and of nothing else', async () => {
    const { items } = JSON.parse(await installation.kubectl('get', 'vk,chan', '-A', '-o', 'json', '--show-managed-fields')) as {
      items: { metadata: { managedFields: { manager: string; subresource?: string }[]; finalizers?: string[] } }[];
    };
    const ours = items.flatMap(({ metadata }) => metadata.managedFields.filter(({ manager }) => manager.startsWith('keywright')));
    expect(ours.length).toBeGreaterThanOrEqual(4);
    expect(new Set(ours.map(({ subresource }) => subresource))).toEqual(new Set(['status']));
  });

  it('nothing that is ours, or that we touch, has a finalizer', async () => {
    const path = '{range .items[*]}{.kind}/{.metadata.name}{.metadata.finalizers}{"\\n"}{end}';
    const lines = (await installation.kubectl('get', 'vk,chan,secret,lease', '-A', '-o', `jsonpath=${path}`)).trim().split('\n');
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.filter((line) => line.includes('['))).toEqual([]);
  });

  it('an object can be taken as it is, edited and put back, status and all', async () => {
    const taken = JSON.parse(await installation.kubectl('get', 'vk', 'diff-minimal', '-o', 'json')) as VirtualKey;
    const edited = { ...taken, spec: { ...taken.spec, displayName: 'edited' }, status: { ...taken.status, phase: 'Failed' } };
    await installation.kubectl('replace', '-f', write('edited.json', JSON.stringify(edited)));
    await untilKey(installation, 'diff-minimal', { ready: 'True', reason: 'Issued', phase: 'Active', generation: 2 });
    await installation.kubectl('patch', 'vk', 'diff-minimal', '--type=json', '-p', '[{"op":"remove","path":"/spec/displayName"}]');
    await untilKey(installation, 'diff-minimal', { ready: 'True', reason: 'Issued', phase: 'Active', generation: 3 });
    // One that was taken before somebody else's edit is a conflict, as everywhere.
    await expect(installation.kubectl('replace', '-f', join(installation.directory, 'edited.json'))).rejects.toThrow(/modified/);
  });

  it('labels and annotations of trackers come and go on the VirtualKey; its delivery Secret never has them', async () => {
    const marks = ['app.kubernetes.io/instance=shop', 'argocd.argoproj.io/instance=shop', 'kustomize.toolkit.fluxcd.io/name=shop'];
    const tracking = 'argocd.argoproj.io/tracking-id=shop:keywright.dev/VirtualKey:default/diff-minimal';
    const before = await installation.kubectl('get', 'secret', 'diff-minimal-virtualkey', '-o', 'json');
    await installation.kubectl('label', 'vk', 'diff-minimal', ...marks);
    await installation.kubectl('annotate', 'vk', 'diff-minimal', tracking, 'helm.sh/resource-policy=keep');
    // An edit that has the delivery Secret written again shows that the operator has seen them.
    await installation.kubectl('patch', 'vk', 'diff-minimal', '--type=merge', '-p', '{"spec":{"delivery":{"environment":["OpenAI"]}}}');
    await untilHolds(async () => {
      expect(Object.keys((await readSecret(installation, 'diff-minimal-virtualkey')).text)).toContain('OPENAI_API_KEY');
    });
    const { metadata } = await readSecret(installation, 'diff-minimal-virtualkey');
    expect(metadata.labels).toEqual({ 'keywright.dev/key': 'diff-minimal' });
    expect(metadata.annotations ?? {}).toEqual({});
    expect(JSON.parse(before)).toMatchObject({ metadata: { ownerReferences: metadata.ownerReferences } });
    expect((await readKey(installation, 'diff-minimal')).metadata.labels).toMatchObject({ 'app.kubernetes.io/instance': 'shop' });
  });
});
