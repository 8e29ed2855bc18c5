import { afterEach, describe, expect, it } from 'vitest';
import type { KeyRecord } from '../core/snapshot.ts';
import { sha256Hex } from '../runtime/digest.ts';
import { crashAfter, readyOf, World } from './test-world.ts';

let world = new World();
afterEach(() => world.stop());

/** What must hold at every moment, whatever has crashed; gives what does not. */
async function findBroken(): Promise<string[]> {
  const published = world.publishedKey('team/a');
  const delivered = await world.delivered('a');
  return [
    ...findUnpublished(published, delivered),
    ...findLingering(published, delivered),
    ...(await findUnrecorded(published)),
    ...findLeaks(delivered),
  ];
}

function findUnpublished(published: KeyRecord | undefined, delivered: string | undefined): string[] {
  if (delivered === undefined || published?.state === 'Revoked') return [];
  const isAccepted = published?.credentials.some(
    ({ hash, notAfter }) => hash === sha256Hex(delivered) && (notAfter ?? Infinity) > world.nowMs,
  );
  return isAccepted === true ? [] : ['a key was delivered that no proxy accepts'];
}

function findLingering(published: KeyRecord | undefined, delivered: string | undefined): string[] {
  const undelivered = (published?.credentials ?? []).filter(
    ({ state, hash }) => state === 'Pending' && hash !== sha256Hex(delivered ?? ''),
  );
  return undelivered
    .filter(({ notAfter }) => (notAfter ?? Infinity) > world.nowMs + 600_000)
    .map(() => 'an undelivered key is accepted for more than ten minutes');
}

/** What the proxies accept must be remembered first: otherwise a successor could not know what it has to end. */
async function findUnrecorded(published: KeyRecord | undefined): Promise<string[]> {
  const record = await world.record('team/a');
  const known = new Set([...(record?.credentials.map(({ hash }) => hash) ?? []), ...(record?.revokedHashes ?? [])]);
  return (published?.credentials ?? []).filter(({ hash }) => !known.has(hash)).map(() => 'a hash is published that is not recorded');
}

function findLeaks(delivered: string | undefined): string[] {
  if (delivered === undefined) return [];
  const elsewhere =
    world.stored(({ metadata }) => metadata.name === 'a-virtualkey') + JSON.stringify(world.cluster.events()) + world.logLines.join('');
  const forms = [delivered, delivered.slice(-49), Buffer.from(delivered).toString('base64')];
  return forms.filter((form) => elsewhere.includes(form)).map(() => 'the plaintext stands outside the delivery Secret');
}

async function passSeconds(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    await world.advance(1_000);
    expect(await findBroken()).toEqual([]);
  }
}

const mostWrites = 50;

/** Runs a change with a process that dies at its n-th write, then a successor; n grows until nothing dies any more. */
async function crashEverywhere(options: {
  prepare: () => Promise<void>;
  change: () => Promise<unknown>;
  check: () => Promise<void>;
  gapMs: number;
}): Promise<number> {
  for (let crashAt = 0; crashAt < mostWrites; crashAt += 1) {
    world = new World();
    await world.start();
    await options.prepare();
    await world.advance(10_000);
    let crashed = false;
    const dies = crashAfter(crashAt);
    world.onWrite = () => {
      const error = dies();
      crashed ||= error !== undefined;
      return error;
    };
    await options.change();
    await passSeconds(8);
    await world.stop();
    world.onWrite = () => undefined;
    world.nowMs += options.gapMs;
    await world.start();
    await passSeconds(8);
    await options.check();
    await world.stop();
    if (!crashed) return crashAt;
  }
  throw new Error('the change never comes to its end');
}

async function isIssued(): Promise<void> {
  const delivered = sha256Hex((await world.delivered('a')) ?? '');
  expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
  expect(world.publishedKey('team/a')?.credentials).toContainEqual(expect.objectContaining({ hash: delivered, state: 'Active' }));
}

describe('a process that dies at its n-th write, for every n', () => {
  it('while a key is issued: the successor delivers one, and never less than what was delivered', async () => {
    const steps = await crashEverywhere({ prepare: async () => undefined, change: () => world.applyKey('a'), check: isIssued, gapMs: 0 });
    expect(steps).toBeGreaterThanOrEqual(6);
  });

  it('while a key is issued, and nobody comes for an hour', async () => {
    await crashEverywhere({
      prepare: async () => undefined,
      change: () => world.applyKey('a'),
      gapMs: 3_600_000,
      async check() {
        await isIssued();
        const states = world.publishedKey('team/a')?.credentials.map(({ state }) => state);
        expect(states).toEqual(['Active']);
      },
    });
  });

  it('while a key is revoked: it ends revoked and without its plaintext', async () => {
    await crashEverywhere({
      prepare: async () => void (await world.applyKey('a')),
      change: () => world.applyKey('a', { revoked: true }),
      gapMs: 0,
      async check() {
        expect(world.publishedKey('team/a')?.state).toBe('Revoked');
        expect(await world.delivered('a')).toBeUndefined();
        expect(await world.record('team/a')).toMatchObject({ gen: 2 });
        expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Revoked' });
      },
    });
  });

  it('while a key is deleted: no proxy knows it and a tombstone stays', async () => {
    await crashEverywhere({
      prepare: async () => void (await world.applyKey('a')),
      change: () => world.cluster.delete({ kind: 'VirtualKey', namespace: 'team', name: 'a' }),
      gapMs: 0,
      async check() {
        expect(world.publishedKey('team/a')).toBeUndefined();
        expect(await world.record('team/a')).toMatchObject({ gen: 2, credentials: [] });
        expect((await world.record('team/a'))?.deletedAt).toBeDefined();
      },
    });
  });

  it('while a key is rotated: once, with the old one in its overlap', async () => {
    const rotation = { overlap: '1h' };
    await crashEverywhere({
      prepare: async () => void (await world.applyKey('a', { rotation })),
      change: () => world.applyKey('a', { rotation: { ...rotation, trigger: '1' } }),
      gapMs: 0,
      async check() {
        await isIssued();
        expect(await world.record('team/a')).toMatchObject({ handledTrigger: '1' });
        const states = world.publishedKey('team/a')?.credentials.map(({ state }) => state);
        expect(states?.filter((state) => state !== 'Pending')).toEqual(['Retiring', 'Active']);
      },
    });
  });

  it('while a key is rotated without overlap: the old one is over', async () => {
    const rotation = { overlap: '0s' };
    await crashEverywhere({
      prepare: async () => void (await world.applyKey('a', { rotation })),
      change: () => world.applyKey('a', { rotation: { ...rotation, trigger: '1' } }),
      gapMs: 0,
      async check() {
        await isIssued();
        const states = world.publishedKey('team/a')?.credentials.map(({ state }) => state);
        expect(states?.filter((state) => state !== 'Pending')).toEqual(['Active']);
        expect(world.publishedKey('team/a')?.gen).toBe(2);
      },
    });
  });

  it('while a plaintext is taken out: no new key, and the Secret ends without it', async () => {
    await crashEverywhere({
      prepare: async () => void (await world.applyKey('a')),
      change: () => world.applyKey('a', { delivery: { redactAfter: '1s' } }),
      gapMs: 0,
      async check() {
        expect(await world.delivered('a')).toBeUndefined();
        expect(await world.secret('a-virtualkey')).toBeDefined();
        expect(world.publishedKey('team/a')?.credentials.map(({ state }) => state)).toEqual(['Active']);
        expect(world.reasons()).not.toContain('KeyRotated');
      },
    });
  });

  it('while a deleted Secret is made anew', async () => {
    await crashEverywhere({
      prepare: async () => void (await world.applyKey('a')),
      change: () => world.cluster.delete({ kind: 'Secret', namespace: 'team', name: 'a-virtualkey' }),
      gapMs: 0,
      async check() {
        await isIssued();
        const states = world.publishedKey('team/a')?.credentials.map(({ state }) => state);
        expect(states?.filter((state) => state !== 'Pending')).toEqual(['Retiring', 'Active']);
      },
    });
  });
});

describe('two operators that both believe to lead', () => {
  it('deliver one key, and what was delivered is in force', async () => {
    world = new World();
    await world.start();
    const first = world.operator;
    await world.start();
    const second = world.operator;
    await world.applyKey('a');
    await passSeconds(30);
    await isIssued();
    expect(world.writes.filter(({ name }) => name === 'a-virtualkey')).toHaveLength(1);
    await Promise.all([first?.stop(), second?.stop(), world.settle()]);
  });
});
