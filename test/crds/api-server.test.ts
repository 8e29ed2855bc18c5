import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane, type ControlPlane } from '../support/control-plane.ts';
import { readFixtureCases, type FixtureCase } from './fixtures.ts';
import { installCrds, makeKubernetesApi, type ApiAnswer, type KubernetesApi } from './kubernetes-api.ts';

let controlPlane: ControlPlane;
let api: KubernetesApi;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  await installCrds(controlPlane);
  api = makeKubernetesApi(controlPlane);
});

afterAll(async () => {
  await api?.close();
  await controlPlane?.stop();
});

const cases = readFixtureCases();

describe('the API server, asked the same', () => {
  it.each(cases.filter(({ before }) => before === undefined))('$title', async ({ object, refused }) => {
    const answer = await api.create(object, { dryRun: true });
    expectAnswer(answer, refused, 201);
  });

  it.each(cases.filter(({ before }) => before !== undefined))('$title', async ({ object, before, refused }) => {
    const created = await api.create(before ?? {});
    expect(created.message).toBe('');
    const { resourceVersion } = created.object['metadata'] as { resourceVersion: string };
    try {
      const answer = await api.replace({ ...object, metadata: { ...(object['metadata'] as object), resourceVersion } }, { dryRun: true });
      expectAnswer(answer, refused, 200);
    } finally {
      await api.remove(before ?? {});
    }
  });
});

function expectAnswer({ status, message }: ApiAnswer, refused: FixtureCase['refused'], written: number): void {
  // 400: the strict decoder has found a field that the schema does not have
  const isRefused = status === 400 || status === 422;
  const isNamed = message.includes(refused?.at ?? '') && message.includes(refused?.message ?? '');
  const outcome = isRefused ? { isRefused, isNamed, message } : { isRefused, status, message };
  expect(outcome).toEqual(
    refused === undefined ? { isRefused: false, status: written, message: '' } : { isRefused: true, isNamed: true, message },
  );
}

describe('what users see of the resources', () => {
  const minimal = (name: string): Record<string, unknown> => ({
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'VirtualKey',
    metadata: { name },
    spec: {},
  });

  it('has a status before the operator has said anything', async () => {
    const pending = {
      type: 'Ready',
      status: 'Unknown',
      reason: 'Pending',
      message: 'waiting for the operator',
      lastTransitionTime: '1970-01-01T00:00:00Z',
    };
    const key = await api.create({ ...minimal('new'), status: { phase: 'Active' } });
    expect(key.object['status']).toEqual({ observedGeneration: -1, phase: 'Pending', conditions: [pending] });
    const channel = await api.create({
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'Channel',
      metadata: { name: 'new' },
      spec: { provider: 'OpenAI' },
    });
    expect(channel.object['status']).toEqual({ observedGeneration: -1, conditions: [pending] });
  });

  it('is shown by kubectl with its columns', async () => {
    await api.create({ ...minimal('columns'), spec: { expiresAt: '2030-01-01T00:00:00Z', owner: { team: 'a' }, limits: { rpm: 60 } } });
    const table = await controlPlane.kubectl('get', 'vk', 'columns');
    expect(table.split('\n')[0]?.split(/ {2,}/)).toEqual(['NAME', 'STATUS', 'PREFIX', 'READY', 'REASON', 'LAST USED', 'EXPIRES', 'AGE']);
    expect(table.split('\n')[1]).toMatch(/^columns +Pending +Unknown +Pending +2030-01-01T00:00:00Z +\d+s$/);
    const wide = (await controlPlane.kubectl('get', 'vk', 'columns', '-o', 'wide')).split('\n')[0]?.split(/ {2,}/);
    expect(wide?.slice(8)).toEqual(['RPM', 'TPM', 'BUDGETS', 'TEAM', 'MODELS', 'CHANNELS', 'ROTATES', 'SECRET', 'MESSAGE']);
    await api.create({
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'Channel',
      metadata: { name: 'columns' },
      spec: { provider: 'OpenAI', priority: 7 },
    });
    const channels = (await controlPlane.kubectl('get', 'chan', 'columns')).split('\n');
    expect(channels[0]?.split(/ {2,}/)).toEqual(['NAME', 'PROVIDER', 'READY', 'REASON', 'PRIORITY', 'MODELS', 'KEYS', 'AGE']);
    expect(channels[1]).toMatch(/^columns +OpenAI +Unknown +Pending +7 +\d+s$/);
  });

  it('can be selected by team and phase, and listed by category', async () => {
    await api.create({ ...minimal('selected'), spec: { owner: { team: 'selected' } } });
    expect(await controlPlane.kubectl('get', 'vk', '--field-selector', 'spec.owner.team=selected', '-o', 'name')).toBe(
      'virtualkey.keywright.dev/selected\n',
    );
    expect(await controlPlane.kubectl('get', 'vk', '--field-selector', 'status.phase=Pending', '-o', 'name')).toContain(
      'virtualkey.keywright.dev/selected',
    );
    expect(await controlPlane.kubectl('get', 'keywright', '-o', 'name')).toContain('virtualkey.keywright.dev/selected');
  });

  it('stays revoked whatever kubectl tries', async () => {
    await api.create({ ...minimal('revoked'), spec: { revoked: true } });
    for (const patch of ['{"spec":{"revoked":false}}', '{"spec":{"revoked":null}}', '{"spec":null}']) {
      await expect(controlPlane.kubectl('patch', 'vk', 'revoked', '--type=merge', '-p', patch)).rejects.toThrow();
    }
    expect(await controlPlane.kubectl('get', 'vk', 'revoked', '-o', 'jsonpath={.spec.revoked}')).toBe('true');
  });

  it('is refused by kubectl with an unknown field', async () => {
    const manifest = 'apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: { name: typo }\nspec: { limit: { rpm: 1 } }\n';
    await expect(controlPlane.apply(manifest)).rejects.toThrow(/unknown field "spec\.limit"/);
  });

  it.each([
    'virtualkey.yaml',
    'virtualkey-full.yaml',
    'channel-openai.yaml',
    'channel-anthropic.yaml',
    'channel-gemini.yaml',
    'demo/manifests/channels.yaml',
    'demo/manifests/keys.yaml',
  ])('accepts examples/%s from kubectl', async (name) => {
    const text = readFileSync(join(import.meta.dirname, '..', '..', 'examples', name), 'utf8');
    const output = await controlPlane.kubectl('apply', '--dry-run=server', '-f', join(import.meta.dirname, '..', '..', 'examples', name));
    expect(output.match(/\(server dry run\)/g)?.length).toBe(parseAllDocuments(text).length);
  });
});
