import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type UsedCredential, toLastUsedField } from '../../core/last-used.ts';
import { startMs, World } from '../test-world.ts';

const minute = 60_000;
let world: World;
/** what the proxies noted */
let noted: Map<string, number>;
let asked: UsedCredential[];
/** their master is */
let isAway: boolean;

beforeEach(() => {
  world = new World();
  noted = new Map();
  asked = [];
  isAway = false;
  world.lastUsed = {
    async read(credentials) {
      asked = [...credentials];
      if (isAway) return { times: credentials.map(() => undefined), unread: credentials.length, error: new Error('away') };
      return { times: credentials.map((credential) => noted.get(toLastUsedField(credential))), unread: 0 };
    },
    async forget(credentials) {
      if (isAway) return [];
      for (const credential of credentials) noted.delete(toLastUsedField(credential));
      return credentials;
    },
  };
});
afterEach(() => world.stop());

/** A key with a retiring credential; gives that one's id. */
async function rotate(): Promise<string> {
  await world.start();
  await world.applyKey('a', { rotation: { overlap: '1h', trigger: 'one' } });
  await world.advance(10_000);
  await world.applyKey('a', { rotation: { overlap: '1h', trigger: 'two' } });
  await world.advance(20_000);
  const retiring = world.publishedKey('team/a')?.credentials.find(({ state }) => state === 'Retiring');
  if (retiring === undefined) throw new Error('not rotated');
  return retiring.id;
}

const shown = async () => (await world.key('a'))?.status?.credentials?.map(({ state, lastUsedTime }) => [state, lastUsedTime]);
const patches = () => world.writes.filter(({ verb }) => verb === 'patchStatus').length;

describe('the last use of a retiring credential', () => {
  it('is shown in the status by the minute, with at most one write a minute and none at rest', async () => {
    const credentialId = await rotate();
    const field = toLastUsedField({ keyId: 'team/a', credentialId });
    expect(asked).toEqual([{ keyId: 'team/a', credentialId }]);
    expect(await shown()).toEqual([
      ['Retiring', undefined],
      ['Active', undefined],
    ]);
    noted.set(field, startMs + 2 * minute + 10_000);
    await world.advance(20_000);
    expect(await shown()).toEqual([
      ['Retiring', '2026-01-05T00:02:00Z'],
      ['Active', undefined],
    ]);
    const before = patches();
    for (let seconds = 11; seconds < 60; seconds += 7) {
      noted.set(field, startMs + 2 * minute + seconds * 1_000);
      await world.advance(20_000);
    }
    expect(patches()).toBe(before);
    noted.set(field, startMs + 5 * minute);
    await world.advance(20_000);
    expect([patches(), (await shown())?.[0]]).toEqual([before + 1, ['Retiring', '2026-01-05T00:05:00Z']]);
  });

  it('never goes back, and is taken away when the overlap is over', async () => {
    const credentialId = await rotate();
    const field = toLastUsedField({ keyId: 'team/a', credentialId });
    noted.set(field, startMs + 10 * minute);
    await world.advance(20_000);
    noted.set(field, startMs + 5 * minute);
    await world.advance(20_000);
    expect((await shown())?.[0]).toEqual(['Retiring', '2026-01-05T00:10:00Z']);
    await world.advance(60 * minute);
    expect(await shown()).toEqual([['Active', undefined]]);
    expect(noted.size).toBe(0);
  });

  it('of many keys is written at no more than 20 a second', async () => {
    await world.start();
    const names = Array.from({ length: 60 }, (_, number) => `k-${number}`);
    const apply = async (trigger: string) => {
      for (const name of names) await world.applyKey(name, { rotation: { overlap: '1h', trigger } });
    };
    await apply('one');
    await world.advance(20_000);
    await apply('two');
    await world.advance(20_000);
    expect(asked).toHaveLength(60);
    for (const credential of asked) noted.set(toLastUsedField(credential), startMs + 10 * minute);
    const times: number[] = [];
    world.onWrite = ({ verb }) => {
      if (verb === 'patchStatus') times.push(world.nowMs);
      return undefined;
    };
    await world.advance(20_000);
    expect(times).toHaveLength(60);
    for (const [index, atMs] of times.entries())
      expect(times.filter((other) => other >= atMs && other < atMs + 1_000).length, `${index}`).toBeLessThanOrEqual(20);
  });

  it('that cannot be read stays as it is, is told of once, and is caught up with; what cannot be forgotten is forgotten later', async () => {
    const credentialId = await rotate();
    const credential = { keyId: 'team/a', credentialId };
    noted.set(toLastUsedField(credential), startMs + 10 * minute);
    await world.advance(20_000);
    isAway = true;
    noted.set(toLastUsedField(credential), startMs + 20 * minute);
    await world.advance(60_000);
    expect((await shown())?.[0]).toEqual(['Retiring', '2026-01-05T00:10:00Z']);
    expect((await world.metrics.getSingleMetric('keywright_last_used_unread')?.get())?.values[0]?.value).toBe(1);
    isAway = false;
    await world.advance(20_000);
    expect((await shown())?.[0]).toEqual(['Retiring', '2026-01-05T00:20:00Z']);
    expect(world.logLines.filter((line) => line.includes('"event":"last_used_'))).toHaveLength(2);
    isAway = true;
    await world.advance(60 * minute);
    expect([await shown(), noted.size]).toEqual([[['Active', undefined]], 1]);
    isAway = false;
    await world.advance(20_000);
    expect(noted.size).toBe(0);
  });
});
