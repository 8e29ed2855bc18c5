import { describe, expect, it } from 'vitest';
import type { ClusterObject } from '../../operator/cluster/cluster.ts';
import { makeAdmission } from './admission.ts';

const admission = makeAdmission();

function errorsOf(object: unknown, accepted?: ClusterObject): readonly string[] {
  const result = admission.check(object, accepted);
  return result.ok ? [] : result.errors;
}

function stored(object: unknown, accepted?: ClusterObject): ClusterObject {
  const result = admission.check(object, accepted);
  if (!result.ok) throw new Error(result.errors.join('\n'));
  return result.object;
}

const key = { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata: { name: 'a' }, spec: {} };
const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' } };

// the rules of the CRDs themselves: test/crds
describe('admission', () => {
  it('names the kinds that it knows', () => {
    const message = 'kind: must be one of: VirtualKey (keywright.dev/v1alpha1), Channel (keywright.dev/v1alpha1), Secret (v1)';
    expect(errorsOf({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } })).toEqual([message]);
    expect(errorsOf({ ...key, apiVersion: 'keywright.dev/v1' })).toEqual(['apiVersion: must be keywright.dev/v1alpha1 for a VirtualKey']);
    expect(errorsOf([])).toEqual(['must be an object']);
  });

  it('defaults the status, and keeps the one that is there', () => {
    expect(stored({ ...key, status: { phase: 'Active' } })).toMatchObject({
      status: { observedGeneration: -1, phase: 'Pending', conditions: [{ type: 'Ready', status: 'Unknown' }] },
    });
    const accepted = { ...stored(key), status: { phase: 'Revoked' } } as ClusterObject;
    expect(stored({ ...key, spec: { displayName: 'b' } }, accepted)).toMatchObject({ status: { phase: 'Revoked' } });
  });

  it('leaves out what belongs to the server', () => {
    const metadata = {
      name: 'a',
      namespace: 'b',
      labels: { c: 'd' },
      uid: 'e',
      resourceVersion: '1',
      generation: 7,
      creationTimestamp: '2026-01-01T00:00:00Z',
      managedFields: [{ manager: 'kubectl' }],
      ownerReferences: [{ name: 'x' }],
    };
    expect(stored({ ...key, metadata }).metadata).toEqual({ name: 'a', namespace: 'b', labels: { c: 'd' } });
  });

  it('does not change what it is given', () => {
    const object = Object.freeze({ ...key, spec: Object.freeze({ displayName: null }) });
    expect(stored(object)).toMatchObject({ spec: {} });
    expect(object.spec).toEqual({ displayName: null });
  });

  it.each([
    ['a name', { name: 'A' }, 'metadata.name'],
    ['a long namespace', { name: 'a', namespace: 'a'.repeat(64) }, 'metadata.namespace'],
    ['a label', { name: 'a', labels: { 'a b': 'c' } }, 'metadata.labels["a b"]'],
    ['the value of a label', { name: 'a', labels: { a: 'b c' } }, 'metadata.labels.a'],
    ['an annotation', { name: 'a', annotations: { '/a': 'c' } }, 'metadata.annotations["/a"]'],
    ['large annotations', { name: 'a', annotations: { a: 'x'.repeat(262_144) } }, 'metadata.annotations'],
    ['an unknown field', { name: 'a', label: {} }, 'metadata.label'],
  ])('refuses %s as the API server does', (_name, metadata, path) => {
    expect(errorsOf({ ...key, metadata })).toEqual([expect.stringContaining(`${path}: `)]);
  });

  it('merges stringData, which wins', () => {
    expect(stored({ ...secret, data: { a: 'YQ==', b: 'Y\ng==' }, stringData: { a: 'é' } })).toEqual({
      ...secret,
      type: 'Opaque',
      data: { a: 'w6k=', b: 'Yg==' },
    });
  });

  it('refuses wrong Secrets without repeating a value', () => {
    const refused = [
      { ...secret, data: { a: 'sk-plain' } },
      { ...secret, data: { a: 'sk-plain===' } },
      { ...secret, stringData: { 'a/b': 'sk-plain' } },
      { ...secret, data: 'sk-plain' },
      { ...secret, stringData: { a: ['sk-plain'] } },
      { ...secret, stringData: { a: 'sk-plain'.repeat(140_000) } },
    ];
    for (const object of refused) {
      expect(errorsOf(object).length).toBe(1);
      expect(errorsOf(object).join()).not.toContain('sk-plain');
    }
  });

  it('holds a Secret to its type and immutability', () => {
    const before = stored({ ...secret, immutable: true, stringData: { a: 'b' } });
    expect(errorsOf({ ...secret, immutable: true, stringData: { a: 'b' } }, before)).toEqual([]);
    expect(errorsOf({ ...secret, stringData: { a: 'b' } }, before)).toEqual(['immutable: cannot be taken back; create a new Secret']);
    expect(errorsOf({ ...secret, immutable: true, stringData: { a: 'c' } }, before)).toEqual([
      'data: the Secret is immutable; create a new one',
    ]);
    expect(errorsOf({ ...secret, type: 'other', immutable: true, stringData: { a: 'b' } }, before)).toEqual([
      'type: is immutable; create a new Secret',
    ]);
  });

  it('refuses integers that a number cannot hold', () => {
    const channel = {
      apiVersion: key.apiVersion,
      kind: 'Channel',
      metadata: { name: 'a' },
      spec: { provider: 'OpenAI', limits: { rpm: 2 ** 53 } },
    };
    expect(errorsOf(channel)).toEqual(['spec.limits.rpm: must be an integer between -9007199254740991 and 9007199254740991']);
  });
});
