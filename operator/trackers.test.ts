import { afterEach, describe, expect, it } from 'vitest';
import type { VirtualKey } from '../core/resources.ts';
import { World } from './test-world.ts';

let world = new World();

afterEach(async () => {
  await world.stop();
});

/** How Argo CD, Flux, Helm and kubectl mark what they have applied, and by which they find it to prune it. */
const labels = {
  'app.kubernetes.io/instance': 'shop',
  'app.kubernetes.io/managed-by': 'Helm',
  'argocd.argoproj.io/instance': 'shop',
  'kustomize.toolkit.fluxcd.io/name': 'shop',
  'kustomize.toolkit.fluxcd.io/namespace': 'flux-system',
  'helm.toolkit.fluxcd.io/name': 'shop',
  team: 'search',
};
const annotations = {
  'argocd.argoproj.io/tracking-id': 'shop:keywright.dev/VirtualKey:team/a',
  'argocd.argoproj.io/sync-wave': '1',
  'helm.sh/resource-policy': 'keep',
  'meta.helm.sh/release-name': 'shop',
  'meta.helm.sh/release-namespace': 'team',
  'kubectl.kubernetes.io/last-applied-configuration': '{}',
};

function applyTracked(spec: VirtualKey['spec']): Promise<VirtualKey> {
  const metadata = { name: 'a', namespace: 'team', labels, annotations };
  return world.cluster.apply<VirtualKey>({ apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata, spec });
}

describe('the marks of whoever applied a VirtualKey', () => {
  it('are never on its delivery Secret, when it is made and when it is written again', async () => {
    world = new World();
    await world.start();
    await applyTracked({});
    await world.advance(10_000);
    const made = await world.secret('a-virtualkey');
    expect(made?.metadata.labels).toEqual({ 'keywright.dev/key': 'a' });
    expect(made?.metadata.annotations ?? {}).toEqual({});
    expect(made?.metadata.ownerReferences).toEqual([
      {
        apiVersion: 'keywright.dev/v1alpha1',
        kind: 'VirtualKey',
        name: 'a',
        uid: (await world.key('a'))?.metadata.uid,
        controller: true,
        blockOwnerDeletion: false,
      },
    ]);

    await applyTracked({ delivery: { environment: ['OpenAI'], template: { labels: { team: 'of-the-template' } } } });
    await world.advance(10_000);
    const written = await world.secret('a-virtualkey');
    expect(Object.keys(written?.data ?? {})).toContain('OPENAI_API_KEY');
    expect(written?.metadata.labels).toEqual({ 'keywright.dev/key': 'a', team: 'of-the-template' });
    expect(written?.metadata.annotations ?? {}).toEqual({});
  });

  it('are on the VirtualKey as they were applied, and nobody’s finalizer is', async () => {
    world = new World();
    await world.start();
    await applyTracked({});
    await world.advance(10_000);
    const key = await world.key('a');
    expect(key?.status?.phase).toBe('Active');
    expect(key?.metadata).toMatchObject({ labels, annotations, generation: 1 });
    const held = world.cluster.objects().filter(({ metadata }) => (metadata.finalizers ?? []).length > 0);
    expect(held).toEqual([]);
  });
});
