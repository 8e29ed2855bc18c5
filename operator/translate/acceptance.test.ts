import { describe, expect, it } from 'vitest';
import type { VirtualKey } from '../../core/resources.ts';
import { checkTemplate } from './acceptance.ts';

const steering = [
  'app.kubernetes.io/instance',
  'app.kubernetes.io/managed-by',
  'kubectl.kubernetes.io/last-applied-configuration',
  'kubernetes.io/service-account.name',
  'policy.k8s.io/x',
  'argocd.argoproj.io/instance',
  'argocd.argoproj.io/tracking-id',
  'argocd.argoproj.io/sync-options',
  'helm.sh/resource-policy',
  'meta.helm.sh/release-name',
  'kustomize.toolkit.fluxcd.io/name',
  'helm.toolkit.fluxcd.io/namespace',
  'KUSTOMIZE.toolkit.fluxcd.io/prune',
  'keywright.dev/credential',
  'keywright.dev/key',
];
const harmless = [
  'team',
  'example.com/team',
  'reloader.stakater.com/match',
  'notkubernetes.io/x',
  'kubernetes.io.example.com/x',
  'argoproj',
];

function keyWith(template: NonNullable<NonNullable<VirtualKey['spec']['delivery']>['template']>): VirtualKey {
  const metadata = { name: 'a', namespace: 'team' };
  return { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata, spec: { delivery: { template } } };
}

describe('a delivery template', () => {
  it.each(steering)('may not set %s, as a label or as an annotation', (name) => {
    for (const field of ['labels', 'annotations']) {
      const problem = checkTemplate({ virtualKey: keyWith({ [field]: { [name]: 'x' } }) });
      expect(problem).toMatchObject({ reason: 'PolicyViolation', stalled: true });
      expect(problem?.message).toContain(`"${name}"`);
    }
  });

  it('is told every name that it may not set, and no other', () => {
    const labels = Object.fromEntries([...steering, ...harmless].map((name) => [name, 'x']));
    const message = checkTemplate({ virtualKey: keyWith({ labels, annotations: { 'meta.helm.sh/release-namespace': 'x' } }) })?.message;
    for (const name of [...steering, 'meta.helm.sh/release-namespace']) expect(message).toContain(`"${name}"`);
    for (const name of harmless) expect(message).not.toContain(`"${name}"`);
  });

  it.each(harmless)('may set %s', (name) => {
    expect(checkTemplate({ virtualKey: keyWith({ labels: { [name]: 'x' }, annotations: { [name]: 'x' } }) })).toBeUndefined();
  });
});
