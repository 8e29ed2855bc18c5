import { expect, it } from 'vitest';
import { ClusterError } from './cluster/cluster.ts';
import { readyOf, World } from './test-world.ts';

const names = Array.from({ length: 12 }, (_, index) => `app-${index}`);

async function worldWithKeys(): Promise<World> {
  const world = new World();
  await world.start();
  for (const name of names) await world.applyKey(name);
  await world.advance(10_000);
  await world.stop();
  world.writes.length = 0;
  return world;
}

/** Names of the Secrets of tenants that are read one by one from now on. */
function countReads(world: World): string[] {
  const reads: string[] = [];
  const get = world.cluster.get.bind(world.cluster);
  world.cluster.get = (reference) => {
    if (reference.kind === 'Secret' && reference.namespace === 'team') reads.push(reference.name);
    return get(reference);
  };
  return reads;
}

it('reads the delivery Secrets together, and writes nothing', async () => {
  const world = await worldWithKeys();
  const reads = countReads(world);
  await world.start();
  await world.advance(60_000);
  expect(reads).toEqual([]);
  expect(world.writes).toEqual([]);
  await world.stop();
});

it('reads each by itself when that fails, and one that has lost its key is mended all the same', async () => {
  const world = await worldWithKeys();
  const broken = await world.secret('app-3-virtualkey');
  if (broken === undefined) throw new Error('there is no delivery Secret');
  await world.cluster.replace({ ...broken, data: {} });
  world.writes.length = 0;
  const reads = countReads(world);
  world.cluster.listEach = () => Promise.reject(new ClusterError('Unavailable', 'the list fails'));
  await world.start();
  await world.advance(60_000);
  expect(new Set(reads).size).toBe(names.length);
  expect(await world.delivered('app-3')).toMatch(/^sk-kw-/);
  for (const name of names) expect(readyOf(await world.key(name))).toMatchObject({ status: 'True' });
  await world.stop();
});

it('does not take the values of a Secret that only looks like the one of a key', async () => {
  const world = await worldWithKeys();
  const labels = { 'keywright.dev/key': 'app-1' };
  await world.applySecret('planted', { apiKey: 'sk-kw-planted' }, { labels });
  await world.start();
  await world.advance(60_000);
  expect(world.writes).toEqual([]);
  expect(await world.delivered('app-1')).toMatch(/^sk-kw-/);
  expect(world.stored(({ kind, metadata }) => kind === 'Secret' && metadata.name === 'planted')).not.toContain('sk-kw-planted');
  await world.stop();
});
