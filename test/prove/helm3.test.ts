import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderings } from '../chart/renderings.ts';
import { runCommand } from '../support/child.ts';
import { chartsDirectory, findHelm, renderObjects } from '../support/chart.ts';

describe.each(Object.entries(renderings))('Helm 3: %s', (_name, rendering) => {
  it('renders the objects that Helm 4 renders', async () => {
    const objects = await renderObjects({ ...rendering, helm: 3 });
    expect(objects.length).toBeGreaterThan(10);
    expect(objects).toEqual(await renderObjects({ ...rendering, helm: 4 }));
  });

  it('passes its lint', async () => {
    const words = ['lint', '--strict', join(chartsDirectory, 'keywright'), '--values', '-'];
    expect(await runCommand(await findHelm(3), words, { input: JSON.stringify(rendering.values) })).toContain('0 chart(s) failed');
  });
});

it('Helm 3 refuses values that are none, too', async () => {
  await expect(renderObjects({ helm: 3, values: { replicas: 3 } })).rejects.toThrow("additional properties 'replicas' not allowed");
});
