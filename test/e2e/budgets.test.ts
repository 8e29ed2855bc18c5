import { afterAll, beforeAll, expect, it } from 'vitest';
import { boundOf, exhaust, readSelf, readStored, type Scene, startScene } from '../prove/budgets-scene.ts';
import { capped } from '../prove/budgets-shapes.ts';

const shapes = capped.filter(({ name }) => ['openai-choices', 'anthropic-multibyte'].includes(name));
let scene: Scene;

beforeAll(async () => {
  scene = await startScene(shapes);
});
afterAll(async () => {
  await scene?.installation.stop();
});

for (const shape of shapes) {
  it(`50 streams at three proxies never overrun a budget for ten of them, and it can be used: ${shape.name}`, async () => {
    const limit = 10 * boundOf(shape);
    const apiKey = await scene.makeKey(shape.name, limit);
    const { others } = await exhaust(scene, apiKey, shape, 50);
    const served = scene.served.get(shape.name) ?? 0;
    const told = await readSelf(scene.installation.proxies[0], apiKey);
    const stored = await readStored(scene.installation, `default/${shape.name}`);
    expect(others).toEqual([]);
    expect(served).toBeLessThanOrEqual(limit);
    expect(served).toBeGreaterThanOrEqual(limit - boundOf(shape));
    expect([told.spent, told.reserved, stored]).toEqual([served, 0, served]);
  });
}
