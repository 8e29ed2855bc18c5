import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ChartObject, renderObjects, toManifest } from '../support/chart.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { renderings } from './renderings.ts';

let controlPlane: ControlPlane;
beforeAll(async () => {
  controlPlane = await startControlPlane();
  for (const namespace of ['keywright-system', 'gateway', 'kw-data', 'team-a', 'team-b'])
    await controlPlane.kubectl('create', 'namespace', namespace);
});
afterAll(async () => {
  await controlPlane?.stop();
});

/** Kinds of others, whose CRDs are not here. */
const foreign = /^(gateway\.networking\.k8s\.io|monitoring\.coreos\.com)\//;

describe.each(Object.entries(renderings))('an API server accepts every object and every field: %s', (_name, rendering) => {
  it('in a strict dry run', async () => {
    const objects = (await renderObjects(rendering)).filter(({ apiVersion }) => !foreign.test(apiVersion));
    // a dry run makes no namespace, and what is in it would be refused for want of it
    for (const { metadata } of objects.filter(({ kind }) => kind === 'Namespace'))
      await controlPlane.apply(toManifest([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: metadata.name } }]));
    const said = await controlPlane.applyWith(
      ['--server-side', '--dry-run=server', '--validate=strict', '--force-conflicts'],
      toManifest(objects),
    );
    expect(said.trim().split('\n')).toHaveLength(objects.length);
  });
});

it('and would refuse a field that is none', async () => {
  const [deployment] = (await renderObjects()).filter(({ kind }) => kind === 'Deployment');
  const spec = { ...(deployment?.['spec'] as object), replica: 2 };
  const broken = { ...deployment, spec } as ChartObject;
  await expect(controlPlane.applyWith(['--dry-run=server', '--validate=strict'], toManifest([broken]))).rejects.toThrow(
    'unknown field "spec.replica"',
  );
});

it('an upgrade over resources that were applied by hand changes nothing in them', async () => {
  for (const name of ['virtualkey', 'channel']) await controlPlane.apply(readFileSync(`crds/${name}.crd.yaml`, 'utf8'));
  const crds = (await renderObjects()).filter(({ kind }) => kind === 'CustomResourceDefinition');
  await controlPlane.applyWith(['--server-side', '--force-conflicts'], toManifest(crds));
  for (const { metadata } of crds) {
    const generation = await controlPlane.kubectl('get', 'crd', metadata.name, '-o', 'jsonpath={.metadata.generation}');
    expect(generation).toBe('1');
  }
});
