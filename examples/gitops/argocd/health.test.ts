import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readGoldenStatuses } from '../../../test/support/golden-statuses.ts';
import { toKStatus } from '../../../test/support/kstatus.ts';
import { runLua } from '../../../test/support/lua.ts';

const read = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8');
const script = read('health.lua');
const { data } = parse(read('argocd-cm.yaml')) as { data: Record<string, string> };
const golden = readGoldenStatuses();

interface Health {
  readonly status: string;
  readonly message: string;
}
const health = async (object: unknown, text = script) => (await runLua(text, object)) as Health;
const ready = (reason: string) => ({ type: 'Ready', status: 'True', reason, message: 'words' });
const withStatus = (status: unknown, metadata: object = { name: 'a', generation: 3 }) => ({ metadata, status });

/** What a user of Argo CD expects to see of what kstatus says. */
const expected = { Current: 'Healthy', InProgress: 'Progressing', Failed: 'Degraded', Terminating: 'Progressing' } as const;

describe('the health check for Argo CD', () => {
  it.each(golden)('of $title says what kstatus says', async ({ object }) => {
    const { status, message } = await health(object);
    expect(status).toBe(expected[toKStatus(object)]);
    expect(message).toMatch(/^[A-Z][A-Za-z]+: ./);
  });

  it.each([
    { what: 'no status', object: withStatus(undefined) },
    { what: 'no conditions', object: withStatus({ observedGeneration: 3 }) },
    { what: 'empty conditions', object: withStatus({ observedGeneration: 3, conditions: [] }) },
    { what: 'the default of the CRD', object: withStatus({ observedGeneration: -1, conditions: [{ type: 'Ready', status: 'Unknown' }] }) },
    { what: 'Ready Unknown', object: withStatus({ observedGeneration: 3, conditions: [{ type: 'Ready', status: 'Unknown' }] }) },
    { what: 'an old generation', object: withStatus({ observedGeneration: 2, conditions: [ready('Issued')] }) },
    {
      what: 'an old generation that was stalled',
      object: withStatus({ observedGeneration: 2, conditions: [{ type: 'Stalled', status: 'True', reason: 'WeakKey' }] }),
    },
    {
      what: 'a deletion',
      object: withStatus(
        { observedGeneration: 3, conditions: [ready('Issued')] },
        { name: 'a', generation: 3, deletionTimestamp: '2026-01-01T00:00:00Z' },
      ),
    },
  ])('is Progressing with $what', async ({ object }) => {
    expect((await health(object)).status).toBe('Progressing');
  });

  it('reads conditions in any order and without reason or message', async () => {
    const stalled = { type: 'Stalled', status: 'True' };
    const conditions = [{ type: 'Accepted', status: 'False' }, stalled, { type: 'Ready', status: 'False' }];
    for (const each of [conditions, conditions.toReversed()])
      expect(await health(withStatus({ observedGeneration: 3, conditions: each }))).toEqual({ status: 'Degraded', message: 'Stalled: ' });
    const over = [{ ...stalled, status: 'False' }, ready('Issued')];
    expect((await health(withStatus({ observedGeneration: 3, conditions: over }))).status).toBe('Healthy');
  });

  it('has one place to say that a suspended object is Suspended; revoked and expired ones stay Healthy', async () => {
    const of = (reason: string) => withStatus({ observedGeneration: 3, conditions: [ready(reason)] });
    const other = script.replace('local suspendedIs = "Healthy"', 'local suspendedIs = "Suspended"');
    expect(other).not.toBe(script);
    expect((await health(of('Suspended'))).status).toBe('Healthy');
    expect((await health(of('Suspended'), other)).status).toBe('Suspended');
    for (const reason of ['Revoked', 'Expired', 'Issued']) expect((await health(of(reason), other)).status).toBe('Healthy');
  });

  it('is what the ConfigMap holds, for both kinds', () => {
    for (const kind of ['VirtualKey', 'Channel'])
      expect(data[`resource.customizations.health.keywright.dev_${kind}`]?.trimEnd()).toBe(script.trimEnd());
  });
});

describe('the action for Argo CD', () => {
  const actions = parse(data['resource.customizations.actions.keywright.dev_VirtualKey'] ?? '') as {
    'discovery.lua': string;
    definitions: { name: string; 'action.lua': string }[];
  };

  it('rotates by the annotation, and keeps the others', async () => {
    const rotate = actions.definitions.find(({ name }) => name === 'rotate')?.['action.lua'] ?? '';
    for (const annotations of [undefined, { team: 'search' }]) {
      const after = (await runLua(rotate, { metadata: { name: 'a', annotations } })) as {
        metadata: { annotations: Record<string, string> };
      };
      expect(after.metadata.annotations['keywright.dev/rotate']).toMatch(/^\d{4}-\d{2}-\d{2}T[\d:]{8}Z$/);
      expect(after.metadata.annotations['team']).toBe(annotations?.team);
    }
  });

  it('is not offered for a revoked key', async () => {
    const discover = async (object: unknown) => runLua(actions['discovery.lua'], object);
    expect(await discover({ status: { phase: 'Revoked' } })).toEqual({ rotate: { disabled: true } });
    expect(await discover({ status: { phase: 'Active' } })).toEqual({ rotate: { disabled: false } });
    expect(await discover({})).toEqual({ rotate: { disabled: false } });
  });
});
