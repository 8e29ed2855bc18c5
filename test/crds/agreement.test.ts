import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDefinitions, type ResourceDefinition } from '../../crds/schema-file.ts';
import { makeAdmission } from '../../standalone/manifests/admission.ts';
import { startControlPlane, type ControlPlane } from '../support/control-plane.ts';
import { installCrds, makeKubernetesApi, type KubernetesApi } from './kubernetes-api.ts';
import { valuesOf } from './random-specs.ts';

const admission = makeAdmission();
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

/** How many of the random manifests must be right for the test to mean something. */
const fewest = 40;

describe.each(readDefinitions())('$kind', (definition) => {
  it('is accepted by the API server exactly if it is accepted in this process, with the same spec', async () => {
    let accepted = 0;
    const property = fc.asyncProperty(valuesOf(specOf(definition)), async (spec) => {
      const manifest = toManifest(definition, 'random', spec);
      const here = admission.check(manifest);
      const there = await api.create(manifest, { dryRun: true });
      expect({ ok: here.ok, errors: here.ok ? [] : here.errors, there: there.message }).toMatchObject({ ok: there.status === 201 });
      if (!here.ok) return;
      accepted += 1;
      expect((here.object as { spec?: unknown }).spec).toEqual(there.object['spec']);
    });
    await fc.assert(property, { numRuns: 400, interruptAfterTimeLimit: 30_000 });
    expect(accepted).toBeGreaterThan(fewest);
  });

  it('may be changed on the API server exactly if it may be changed in this process', async () => {
    const starts = fc
      .sample(valuesOf(specOf(definition)), { numRuns: 400, seed: 7 })
      .filter((spec) => admission.check(toManifest(definition, 'x', spec)).ok);
    let checked = 0;
    for (const [position, from] of starts.slice(0, 60).entries()) {
      const before = toManifest(definition, `change-${position}`, from);
      const held = admission.check(before);
      const created = await api.create(before);
      expect(created.status).toBe(201);
      const { resourceVersion } = created.object['metadata'] as { resourceVersion: string };
      for (const to of [...starts.slice(position, position + 4), { ...(from as object), revoked: undefined, suspended: true }]) {
        const after = toManifest(definition, `change-${position}`, to);
        const here = admission.check(after, held.ok ? held.object : undefined);
        const there = await api.replace({ ...after, metadata: { ...(after['metadata'] as object), resourceVersion } }, { dryRun: true });
        expect({ from, to, ok: here.ok, there: there.message }).toMatchObject({ ok: there.status === 200 });
        checked += 1;
      }
      await api.remove(before);
    }
    expect(checked).toBeGreaterThan(fewest);
  });
});

function specOf({ schema }: ResourceDefinition): NonNullable<typeof schema> {
  const spec = schema.properties?.['spec'];
  if (spec === undefined) throw new Error('a resource has a spec');
  return spec;
}

function toManifest({ kind, apiVersion }: ResourceDefinition, name: string, spec: unknown): Record<string, unknown> {
  // as it would leave a file: no undefined
  return JSON.parse(JSON.stringify({ apiVersion, kind, metadata: { name, namespace: 'default' }, spec })) as Record<string, unknown>;
}
