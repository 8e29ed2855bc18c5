import { afterEach, beforeEach, expect, it } from 'vitest';
import type { VirtualKeySpec } from '../core/resources.ts';
import { sha256Hex } from '../runtime/digest.ts';
import type { Cluster } from './cluster/cluster.ts';
import { World } from './test-world.ts';

const noisyKeys = 40;
let world: World;
/** statuses of the noisy namespace that were asked for since the gate was shut, and whether they are answered */
let gate: { asked: string[]; answers: (() => void)[]; isShut: boolean };

beforeEach(async () => {
  world = new World();
  gate = { asked: [], answers: [], isShut: false };
  world.through = (cluster) => withGate(cluster);
  await world.start();
  for (let number = 0; number < noisyKeys; number += 1) await world.applyKey(`k${number}`, noisySpec(number, 0), 'noisy');
  for (const name of ['one', 'two', 'three']) await world.applyKey(name, hashOf(name), 'quiet');
  await world.advance(20_000);
});
afterEach(async () => {
  gate.isShut = false;
  for (const answer of gate.answers.splice(0)) answer();
  await world.stop();
});

const hashOf = (name: string): VirtualKeySpec => ({ credential: { hashes: [{ hash: `sha256:${sha256Hex(name)}` }] } });

/** Refused, so that each edit has a status to be written at once. */
function noisySpec(number: number, turn: number): VirtualKeySpec {
  return { ...hashOf(`noisy/${number}`), description: `edit ${turn}`, access: { channels: [`noisy/none-${turn}`] } };
}

/** The API server is slow with whatever is written of the noisy namespace. */
function withGate(cluster: Cluster): Cluster {
  return {
    reflect: (options) => cluster.reflect(options),
    get: (reference) => cluster.get(reference),
    list: (selection) => cluster.list(selection),
    listEach: (selection, take) => cluster.listEach(selection, take),
    create: (object) => cluster.create(object),
    replace: (object) => cluster.replace(object),
    remove: (reference, precondition) => cluster.remove(reference, precondition),
    recordEvent: (event) => cluster.recordEvent(event),
    close: () => cluster.close(),
    async patchStatus(object, status) {
      if (object.metadata.namespace === 'noisy') {
        gate.asked.push(object.metadata.name);
        if (gate.isShut) await new Promise<void>((resolve) => gate.answers.push(resolve));
      }
      return cluster.patchStatus(object, status);
    },
  };
}

async function editNoisily(turn: number): Promise<void> {
  for (let number = 0; number < noisyKeys; number += 1) await world.applyKey(`k${number}`, noisySpec(number, turn), 'noisy');
}

it('a revocation, a suspension and an edit do not wait for any of the edits of another namespace', async () => {
  gate = { asked: [], answers: [], isShut: true };
  await editNoisily(1);
  await world.applyKey('one', { ...hashOf('one'), revoked: true }, 'quiet');
  await world.applyKey('two', { ...hashOf('two'), suspended: true }, 'quiet');
  await world.settle();
  expect(world.publishedKey('quiet/one')?.state).toBe('Revoked');
  expect(world.publishedKey('quiet/two')?.state).toBe('Suspended');
  await world.applyKey('three', { ...hashOf('three'), limits: { rpm: 7 } }, 'quiet');
  await world.advance(500);
  expect(world.publishedKey('quiet/three')?.limits).toEqual({ rpm: 7 });
  expect((await world.key('three', 'quiet'))?.status?.observedGeneration).toBe(2);
  // nothing of the noisy ones was done meanwhile, and some of them wait
  expect(gate.answers).toHaveLength(gate.asked.length);
  expect(gate.asked.length).toBeLessThan(noisyKeys / 2);
});

it('a revocation does not wait for the edits of its own namespace, nor for those of its own key', async () => {
  for (let turn = 1; turn <= 20; turn += 1) await world.applyKey('k39', noisySpec(39, turn), 'noisy');
  gate = { asked: [], answers: [], isShut: true };
  await editNoisily(21);
  await world.applyKey('k39', { ...noisySpec(39, 21), revoked: true }, 'noisy');
  await world.settle();
  expect(world.publishedKey('noisy/k39')?.state).toBe('Revoked');
});

it('an object that is edited without a pause is looked at once a second, at last as it stands at last', async () => {
  gate = { asked: [], answers: [], isShut: false };
  const seconds = 20;
  for (let turn = 1; turn <= seconds * 10; turn += 1) {
    await world.applyKey('k0', noisySpec(0, turn), 'noisy');
    await world.advance(100);
  }
  expect(gate.asked.length).toBeGreaterThan(seconds);
  expect(gate.asked.length).toBeLessThan(seconds + 15);
  await world.advance(1_000);
  const { status, metadata } = (await world.key('k0', 'noisy')) ?? {};
  expect(status?.observedGeneration).toBe(metadata?.generation);
  expect(metadata?.generation).toBe(1 + seconds * 10);
});
