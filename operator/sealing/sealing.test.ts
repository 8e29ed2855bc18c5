import { expect, it } from 'vitest';
import { noSealKeys } from '../../runtime/seal.ts';
import { FakeSeal, makeSealKey, sealKeysOf } from '../../test/fake/seal.ts';
import type { SecretObject } from '../cluster/cluster.ts';
import { readyOf, World } from '../test-world.ts';

const [first, second] = [makeSealKey(), makeSealKey()];

/** By what each of our own Secrets is sealed, with how many there are of it. */
function seals(world: World): Record<string, number> {
  const found: Record<string, number> = {};
  for (const object of world.cluster.objects()) {
    const { type = '', data = {} } = object as SecretObject;
    if (object.kind !== 'Secret' || !type.startsWith('keywright.dev/')) continue;
    for (const value of Object.values(data)) {
      const bytes = Buffer.from(value, 'base64');
      const seal = bytes.toString('latin1', 0, 4) === 'KWS1' ? bytes.toString('hex', 4, 12) : 'plain';
      found[seal] = (found[seal] ?? 0) + 1;
    }
  }
  return found;
}

function sealed(world: World): string[] {
  return Object.keys(seals(world));
}

function count(world: World): number {
  return Object.values(seals(world)).reduce((sum, each) => sum + each, 0);
}

async function worldWithKey(seal: FakeSeal): Promise<World> {
  const world = new World();
  world.seal = seal;
  await world.start();
  await world.applyKey('app');
  await world.advance(10_000);
  expect(readyOf(await world.key('app'))).toMatchObject({ status: 'True' });
  return world;
}

/** Restarts with these keys, and counts what is written until all is quiet. */
async function restart(world: World, ...lines: string[]): Promise<string[]> {
  await world.stop();
  world.writes.length = 0;
  world.seal = lines.length === 0 ? undefined : new FakeSeal(sealKeysOf(...lines));
  await world.start();
  await world.advance(60_000);
  return world.writes.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`);
}

it('seals every Secret of ours, and the key is delivered all the same', async () => {
  const keys = sealKeysOf(first);
  const world = await worldWithKey(new FakeSeal(keys));
  expect(sealed(world)).toEqual([keys.current]);
  expect(count(world)).toBeGreaterThan(70);
  expect(await world.delivered('app')).toMatch(/^sk-kw-/);
  expect(world.published().keys).toEqual([]);
  expect(await restart(world, first)).toEqual([]);
  await world.stop();
});

it('goes from not sealed to sealed, to another key and back, and writes each Secret once a time', async () => {
  const world = await worldWithKey(new FakeSeal(sealKeysOf('plain', first)));
  const key = await world.delivered('app');
  expect(sealed(world)).toEqual(['plain']);
  for (const lines of [
    [first, 'plain'],
    [second, first],
    ['plain', second],
  ]) {
    const written = await restart(world, ...lines);
    expect(written).toHaveLength(count(world));
    expect(new Set(written).size).toBe(written.length);
    expect(sealed(world)).toEqual([sealKeysOf(...lines).current]);
    expect(await restart(world, ...lines)).toEqual([]);
  }
  expect(await restart(world)).toEqual([]);
  expect(await world.delivered('app')).toBe(key);
  expect((await world.record('team/app'))?.credentials).toHaveLength(1);
  await world.stop();
});

it('seals anew while it runs when the file changes', async () => {
  const seal = new FakeSeal(sealKeysOf(first));
  const world = await worldWithKey(seal);
  world.writes.length = 0;
  seal.change(sealKeysOf(second, first));
  await world.advance(60_000);
  expect(sealed(world)).toEqual([seal.keys.current]);
  expect(world.writes).toHaveLength(count(world));
  await world.stop();
});

it('without the key writes nothing, does not lead and says why; with it, it goes on', async () => {
  const world = await worldWithKey(new FakeSeal(sealKeysOf(first)));
  const before = JSON.stringify(world.cluster.objects());
  await world.stop();
  world.writes.length = 0;
  for (const keys of [noSealKeys, sealKeysOf(second), sealKeysOf(second, 'plain')]) {
    const seal = new FakeSeal(keys);
    world.seal = seal;
    await world.start();
    await world.advance(120_000);
    expect(world.operator?.readiness().join()).toMatch(/Secret system\/vk-team-app-[0-9a-f]+ cannot be opened: it is sealed with key/);
    expect(world.operator?.mayLead()).toBe(false);
    expect(world.writes).toEqual([]);
    seal.change(sealKeysOf(second, first));
    expect(world.operator?.readiness()).toEqual([]);
    expect(world.operator?.mayLead()).toBe(true);
    await world.stop();
  }
  expect(JSON.stringify(world.cluster.objects())).toBe(before);
  expect(await restart(world, first)).toEqual([]);
  await world.stop();
});

it('gives up leading when it meets a Secret that it cannot open', async () => {
  const world = await worldWithKey(new FakeSeal(sealKeysOf(first)));
  const locked = [...world.cluster.objects()].find(
    ({ kind, metadata }) => kind === 'Secret' && metadata.name.startsWith('vk-'),
  ) as SecretObject;
  const place = { type: locked.type ?? '', namespace: 'system', name: locked.metadata.name, entry: 'record' };
  const sealed = sealKeysOf(second).seal(Buffer.from('{}'), place);
  world.writes.length = 0;
  await world.cluster.replace({ ...locked, data: { record: Buffer.from(sealed).toString('base64') } });
  await world.advance(60_000);
  expect(world.logLines.join('\n')).toMatch(/Error: Secret system\/vk-team-app-[0-9a-f]+ cannot be opened/);
  expect(world.operator?.mayLead()).toBe(false);
  expect(world.writes.map(({ kind }) => kind)).toEqual(['Secret']);
  await world.stop();
});
