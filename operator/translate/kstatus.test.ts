import { describe, expect, it } from 'vitest';
import { readGoldenStatuses } from '../../test/support/golden-statuses.ts';
import { toKStatus } from '../../test/support/kstatus.ts';

const golden = readGoldenStatuses();
const conditionOf = (object: (typeof golden)[number]['object'], type: string) =>
  object.status?.conditions?.find((condition) => condition.type === type);
const phaseOf = (object: (typeof golden)[number]['object']) => (object.kind === 'VirtualKey' ? object.status?.phase : undefined);

describe('every golden status, as kstatus reads it', () => {
  it('there are some of each kind and of each outcome', () => {
    const seen = new Set(golden.map(({ object }) => `${object.kind} ${toKStatus(object)}`));
    for (const kind of ['VirtualKey', 'Channel'])
      for (const outcome of ['Current', 'InProgress', 'Failed']) expect([...seen]).toContain(`${kind} ${outcome}`);
  });

  it.each(golden)('$title is of the current generation', ({ object }) => {
    const { generation } = object.metadata;
    expect(object.status?.observedGeneration).toBe(generation);
    for (const condition of object.status?.conditions ?? []) expect(condition.observedGeneration).toBe(generation);
  });

  it.each(golden)('$title is ready, or stalled, or being reconciled', ({ object }) => {
    const [ready, stalled, reconciling] = ['Ready', 'Stalled', 'Reconciling'].map((type) => conditionOf(object, type));
    // Abnormal conditions are there only while they are true, and never both.
    const abnormal = [stalled, reconciling].filter((condition) => condition !== undefined);
    expect(abnormal.length).toBe(ready?.status === 'True' ? 0 : 1);
    for (const { status } of abnormal) expect(status).toBe('True');
    const outcomes = { Stalled: 'Failed', Reconciling: 'InProgress' } as Record<string, string>;
    expect(toKStatus(object)).toBe(outcomes[abnormal[0]?.type ?? ''] ?? 'Current');
    if (stalled !== undefined) expect(ready?.reason).toBe(stalled.reason);
  });

  it.each(golden.filter(({ object }) => object.kind === 'VirtualKey'))('$title has the phase that fits', ({ object }) => {
    const [phase, outcome] = [phaseOf(object), toKStatus(object)];
    const ready = conditionOf(object, 'Ready');
    // Pending is never reached, Failed never hoped for; the others may also be the phase of an edit that is refused or still on its way.
    if (phase === 'Pending') expect(outcome).toBe('InProgress');
    if (phase === 'Failed') expect(outcome).toBe('Failed');
    if (outcome === 'Current') expect(ready?.reason).toBe(phase === 'Active' ? 'Issued' : phase);
  });

  it('what is suspended, revoked or expired blocks no release', () => {
    for (const phase of ['Suspended', 'Revoked', 'Expired']) {
      const settled = golden.filter(({ object }) => phaseOf(object) === phase && conditionOf(object, 'Published')?.status === 'True');
      expect(settled.length, `no golden file of a key that is ${phase} and published`).toBeGreaterThan(0);
      for (const { title, object } of settled) expect([title, toKStatus(object)]).toEqual([title, 'Current']);
    }
  });
});

describe('a status that the operator has not written yet', () => {
  it('is in progress, as the default of the CRD has it', () => {
    const conditions = [{ type: 'Ready', status: 'Unknown' }];
    expect(toKStatus({ metadata: { generation: 1 }, status: { observedGeneration: -1, conditions } })).toBe('InProgress');
  });

  it('is in progress after an edit, whatever it was before', () => {
    const conditions = [{ type: 'Ready', status: 'True' }];
    expect(toKStatus({ metadata: { generation: 2 }, status: { observedGeneration: 1, conditions } })).toBe('InProgress');
  });
});
