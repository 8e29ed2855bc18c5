import { afterEach, describe, expect, it } from 'vitest';
import type { VirtualKey, VirtualKeySpec } from '../core/resources.ts';
import { sha256Hex } from '../runtime/digest.ts';
import { toTimestamp } from './cluster/timestamp.ts';
import { readyOf, startMs, World } from './test-world.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

let world = new World();

async function begin(spec: VirtualKeySpec = {}): Promise<string> {
  world = new World();
  await world.start();
  await world.applyKey('a', spec);
  await world.advance(10_000);
  return heldHash();
}

afterEach(() => world.stop());

async function heldHash(): Promise<string> {
  return sha256Hex((await world.delivered('a')) ?? '');
}

function accepted(): string[] {
  const credentials = world.publishedKey('team/a')?.credentials ?? [];
  return credentials.filter(({ notAfter }) => (notAfter ?? Infinity) > world.nowMs).map(({ hash }) => hash);
}

function rotated(): number {
  return world.reasons().filter((reason) => reason === 'KeyRotated').length;
}

async function annotate(value: string | undefined, spec: VirtualKeySpec = {}): Promise<void> {
  const annotations: Record<string, string> = value === undefined ? {} : { 'keywright.dev/rotate': value };
  const metadata = { name: 'a', namespace: 'team', annotations };
  await world.cluster.apply<VirtualKey>({ apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata, spec });
}

async function restart(): Promise<void> {
  await world.stop();
  await world.start();
}

async function acceptedMessage(): Promise<string | undefined> {
  return (await world.key('a'))?.status?.conditions?.find(({ type }) => type === 'Accepted')?.message;
}

describe('a rotation by trigger', () => {
  it('delivers a new key that every proxy knows already, while the old one works until its overlap ends and no longer', async () => {
    const first = await begin({ rotation: { overlap: '1h' } });
    const publishedAt: number[] = [];
    let deliveredMs = 0;
    world.onWrite = ({ name, namespace, verb }) => {
      if (namespace === 'snapshot') publishedAt.push(world.nowMs);
      if (name === 'a-virtualkey' && verb === 'replace') deliveredMs = world.nowMs;
      return undefined;
    };
    await world.applyKey('a', { rotation: { overlap: '1h', trigger: '2' } });
    await world.advance(10_000);
    const second = await heldHash();
    expect(second).not.toBe(first);
    expect(deliveredMs - (publishedAt[0] ?? Infinity)).toBeGreaterThanOrEqual(2_000);
    expect(accepted().toSorted()).toEqual([first, second].toSorted());
    const record = await world.record('team/a');
    expect(record).toMatchObject({ gen: 1, handledTrigger: '2', rotatedAt: deliveredMs });
    const status = (await world.key('a'))?.status;
    expect(status).toMatchObject({ lastHandledTrigger: '2', lastRotationTime: toTimestamp(deliveredMs) });
    expect(status?.credentials?.map(({ state }) => state)).toEqual(['Retiring', 'Active']);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
    await world.advance(deliveredMs + hourMs - world.nowMs - 1);
    expect(accepted()).toContain(first);
    await world.advance(1);
    expect(accepted()).toEqual([second]);
    await world.advance(5_000);
    expect(world.reasons()).toEqual(['KeyIssued', 'KeyRotated', 'OverlapEnded']);
    expect((await world.key('a'))?.status?.credentials).toHaveLength(1);
  });

  it('is done when the key is first made, and the removal of a trigger rotates nothing', async () => {
    const first = await begin({ rotation: { trigger: '1' } });
    await world.applyKey('a', {});
    await world.advance(10_000);
    await world.applyKey('a', { rotation: { trigger: '1' } });
    await world.advance(10_000);
    expect([await heldHash(), rotated()]).toEqual([first, 0]);
    await world.applyKey('a', { rotation: { trigger: '2' } });
    await world.advance(10_000);
    expect(rotated()).toBe(1);
  });

  it('that comes while another one is unfinished is done once, after it', async () => {
    const first = await begin({ rotation: { trigger: '1' } });
    await world.applyKey('a', { rotation: { trigger: '2' } });
    await world.advance(1_000);
    expect((await world.record('team/a'))?.credentials).toHaveLength(2);
    await world.applyKey('a', { rotation: { trigger: '3' } });
    await world.advance(100);
    await world.applyKey('a', { rotation: { trigger: '4' } });
    await world.advance(20_000);
    expect(rotated()).toBe(2);
    expect((await world.record('team/a'))?.handledTrigger).toBe('4');
    // Two live credentials at most: the first key's overlap ended with the second rotation.
    expect(accepted()).toHaveLength(2);
    expect(accepted()).not.toContain(first);
  });

  it('is taken back by taking the trigger back, as long as nothing is delivered', async () => {
    const first = await begin({ rotation: { trigger: '1' } });
    await world.applyKey('a', { rotation: { trigger: '2' } });
    await world.advance(1_000);
    await world.applyKey('a', { rotation: { trigger: '1' } });
    await world.advance(20_000);
    expect([await heldHash(), accepted()]).toEqual([first, [first]]);
    expect((await world.record('team/a'))?.revokedHashes).toHaveLength(1);
  });

  it('tells that the key is not there yet until it is', async () => {
    await begin({ rotation: { trigger: '1' } });
    world.onWrite = ({ namespace }) => (namespace === 'snapshot' ? new Error('the snapshot is not written') : undefined);
    await world.applyKey('a', { rotation: { trigger: '2' } });
    await world.advance(10_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'False', reason: 'SnapshotBlocked' });
    world.onWrite = () => undefined;
    await world.advance(120_000);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
  });

  it('of a revoked key is none; of a suspended one it is done before it is let in again', async () => {
    const first = await begin({ rotation: { trigger: '1', overlap: '0s' } });
    await world.applyKey('a', { suspended: true, rotation: { trigger: '2', overlap: '0s' } });
    await world.advance(10_000);
    expect(rotated()).toBe(1);
    expect(accepted()).toEqual([await heldHash()]);
    expect(accepted()).not.toContain(first);
    await world.applyKey('a', { revoked: true, rotation: { trigger: '3', overlap: '0s' } });
    await world.advance(dayMs);
    expect(rotated()).toBe(1);
    expect((await world.record('team/a'))?.handledTrigger).toBe('2');
  });
});

describe('a rotation without overlap', () => {
  it('ends the old key at once, raises the generation and does not wait for other changes', async () => {
    const first = await begin({ rotation: { trigger: '1', overlap: '0s' } });
    let deliveredMs = 0;
    const endedAt: number[] = [];
    world.onWrite = ({ name, namespace, verb }) => {
      if (name === 'a-virtualkey' && verb === 'replace') deliveredMs = world.nowMs;
      else if (namespace === 'snapshot' && deliveredMs > 0) endedAt.push(world.nowMs);
      return undefined;
    };
    await world.applyKey('a', { rotation: { trigger: '2', overlap: '0s' } });
    await world.advance(10_000);
    expect(accepted()).toEqual([await heldHash()]);
    expect(endedAt[0]).toBe(deliveredMs);
    expect(await world.record('team/a')).toMatchObject({ gen: 2, revokedHashes: [first] });
    expect(world.publishedKey('team/a')?.gen).toBe(2);
  });
});

describe('a rotation by interval', () => {
  it('is due after the interval, at most a tenth earlier or later, also when nobody was there', async () => {
    await begin({ rotation: { interval: '720h' } });
    const next = (await world.key('a'))?.status?.nextRotationTime;
    const nextMs = Date.parse(next ?? '');
    expect(Math.abs(nextMs - (startMs + 720 * hourMs))).toBeLessThanOrEqual(72 * hourMs + 10_000);
    await world.advance(nextMs - world.nowMs - 60_000);
    expect(rotated()).toBe(0);
    await restart();
    await world.advance(90_000);
    expect(rotated()).toBe(1);
    expect(Date.parse((await world.key('a'))?.status?.nextRotationTime ?? '') - nextMs).toBeGreaterThan(648 * hourMs - 60_000);
    await world.stop();
    world.nowMs += 800 * hourMs;
    await world.start();
    await world.advance(10_000);
    expect(rotated()).toBe(2);
  });

  it('leaves the status Ready while it is under way', async () => {
    await begin({ rotation: { interval: '720h' } });
    const nextMs = Date.parse((await world.key('a'))?.status?.nextRotationTime ?? '');
    world.onWrite = ({ name }) => (name === 'a-virtualkey' ? new Error('the API server is away') : undefined);
    await world.advance(nextMs - world.nowMs + 60_000);
    expect((await world.record('team/a'))?.credentials).toHaveLength(2);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
    world.onWrite = () => undefined;
    await world.advance(10 * 60_000);
    expect(rotated()).toBe(1);
  });

  it('rests while the key is suspended, and is made up for when it is resumed', async () => {
    await begin({ rotation: { interval: '48h' } });
    await world.applyKey('a', { suspended: true, rotation: { interval: '48h' } });
    await world.advance(20 * dayMs);
    expect(rotated()).toBe(0);
    expect((await world.key('a'))?.status?.nextRotationTime).toBeUndefined();
    await world.applyKey('a', { rotation: { interval: '48h' } });
    await world.advance(10_000);
    expect(rotated()).toBe(1);
  });

  it('spreads keys that were made together', async () => {
    world = new World();
    await world.start();
    for (let index = 0; index < 30; index += 1) await world.applyKey(`k${index}`, { rotation: { interval: '720h' } });
    await world.advance(10_000);
    const keys = await Promise.all(Array.from({ length: 30 }, (_, index) => world.key(`k${index}`)));
    const days = new Set(keys.map((key) => key?.status?.nextRotationTime?.slice(0, 10)));
    expect(days.size).toBeGreaterThan(3);
  });

  it('that is shorter than the overlap never makes more than two live keys', async () => {
    await begin({ rotation: { interval: '1h', overlap: '24h' } });
    for (let step = 0; step < 10; step += 1) {
      await world.advance(hourMs);
      expect(world.publishedKey('team/a')?.credentials.filter(({ state }) => state !== 'Pending').length).toBeLessThanOrEqual(2);
    }
    expect(rotated()).toBeGreaterThanOrEqual(9);
  });
});

describe('a rotation by annotation', () => {
  it('has an overlap of its own, once', async () => {
    const first = await begin({ rotation: { overlap: '1h' } });
    await annotate('2026-01-05T10:00:00Z;overlap=10m', { rotation: { overlap: '1h' } });
    await world.advance(10_000);
    const retiring = world.publishedKey('team/a')?.credentials.find(({ hash }) => hash === first);
    expect((retiring?.notAfter ?? 0) - startMs).toBeLessThan(11 * 60_000);
    expect((await world.key('a'))?.status?.lastHandledRotate).toBe('2026-01-05T10:00:00Z;overlap=10m');
    await restart();
    await world.advance(10_000);
    expect(rotated()).toBe(1);
    await annotate(undefined, { rotation: { overlap: '1h' } });
    await world.advance(10_000);
    await annotate('again;overlap=0s', { rotation: { overlap: '1h' } });
    await world.advance(10_000);
    expect(rotated()).toBe(2);
    expect(accepted()).toEqual([await heldHash()]);
  });

  it.each([
    ['', 'must begin with a token'],
    ['a b', 'must begin with a token'],
    ['x'.repeat(65), 'must begin with a token'],
    ['1;overlap=soon', 'overlap=<duration>'],
    ['1;overlap=', 'overlap=<duration>'],
    ['1;later', 'overlap=<duration>'],
    ['1;overlap=1h;overlap=2h', 'overlap=<duration>'],
  ])('that cannot be read rotates nothing, loses nothing and says so: %j', async (text, message) => {
    const first = await begin();
    await annotate(text);
    await world.advance(10_000);
    expect([await heldHash(), accepted()]).toEqual([first, [first]]);
    expect(await acceptedMessage()).toContain(message);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
    expect(world.reasons()).toEqual(['KeyIssued', 'RotateAnnotationInvalid']);
    await annotate('1');
    await world.advance(10_000);
    expect(rotated()).toBe(1);
    expect(await acceptedMessage()).toBe('references, models and limits resolve');
  });

  it('on a key that is not generated says that it is in the wrong place', async () => {
    await begin();
    const metadata = { name: 'b', namespace: 'team', annotations: { 'keywright.dev/rotate': '1' } };
    const spec = { credential: { hashes: [{ hash: `sha256:${'b'.repeat(64)}` }] } };
    await world.cluster.apply<VirtualKey>({ apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata, spec });
    await world.advance(10_000);
    expect((await world.key('b'))?.status?.conditions?.find(({ type }) => type === 'Accepted')?.message).toContain(
      'only to a generated key',
    );
  });
});

describe('redactAfter', () => {
  const spec = { delivery: { redactAfter: '1h', environment: ['OpenAI' as const] } };

  async function entries(): Promise<string[]> {
    return Object.keys((await world.secret('a-virtualkey'))?.data ?? {}).toSorted();
  }

  it('takes the plaintext out so long after it was written, mints nothing, and tells it once', async () => {
    const first = await begin(spec);
    await world.advance(hourMs - 12_000);
    expect(await entries()).toContain('apiKey');
    await world.advance(12_000);
    expect(await entries()).toEqual(['OPENAI_BASE_URL', 'baseURL']);
    expect(accepted()).toEqual([first]);
    const before = world.writes.length;
    await restart();
    await world.advance(30 * dayMs);
    expect(world.writes.length).toBe(before);
    expect(world.reasons()).toEqual(['KeyIssued', 'SecretRedacted']);
    expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
  });

  it('is made up for by whoever comes after a crash', async () => {
    await begin(spec);
    await world.stop();
    world.nowMs += 3 * hourMs;
    await world.start();
    await world.advance(1_000);
    expect(await entries()).toEqual(['OPENAI_BASE_URL', 'baseURL']);
    expect(rotated()).toBe(0);
  });

  it('stands, however the spec changes afterwards, and the layout can be edited without the plaintext', async () => {
    const first = await begin(spec);
    await world.advance(2 * hourMs);
    await world.applyKey('a', { delivery: { secretKey: 'token', template: { data: { region: 'eu' }, labels: { tier: 'one' } } } });
    await world.advance(10_000);
    expect(await entries()).toEqual(['baseURL', 'region']);
    expect((await world.secret('a-virtualkey'))?.metadata.labels).toMatchObject({ tier: 'one' });
    expect(accepted()).toEqual([first]);
    expect(rotated()).toBe(0);
  });

  it('ends with the next rotation, whose key is written and redacted in its turn', async () => {
    await begin(spec);
    await world.advance(2 * hourMs);
    await world.applyKey('a', { ...spec, rotation: { trigger: '1' } });
    await world.advance(10_000);
    expect(await entries()).toContain('OPENAI_API_KEY');
    expect(accepted()).toContain(await heldHash());
    await world.advance(hourMs);
    expect(await entries()).toEqual(['OPENAI_BASE_URL', 'baseURL']);
    expect(world.reasons()).toEqual(['KeyIssued', 'SecretRedacted', 'KeyRotated', 'SecretRedacted']);
  });

  it('a value that is planted afterwards is taken out and not accepted; a Secret that is gone comes back without the key', async () => {
    const first = await begin(spec);
    await world.advance(2 * hourMs);
    const planted = await world.secret('a-virtualkey');
    if (planted === undefined) throw new Error('no Secret');
    await world.cluster.apply({ ...planted, data: { ...planted.data, apiKey: Buffer.from('sk-planted').toString('base64') } });
    await world.advance(10_000);
    expect(await entries()).toEqual(['OPENAI_BASE_URL', 'baseURL']);
    expect(accepted()).toEqual([first]);
    await world.cluster.delete({ kind: 'Secret', namespace: 'team', name: 'a-virtualkey' });
    await world.advance(10_000);
    expect(await entries()).toEqual(['OPENAI_BASE_URL', 'baseURL']);
    expect(accepted()).toEqual([first]);
    expect(world.reasons()).toEqual(['KeyIssued', 'SecretRedacted', 'DeliverySecretTampered']);
  });

  it('does not wait for a refused template to be mended, and writes nothing of it', async () => {
    await begin(spec);
    await world.applyKey('a', { delivery: { redactAfter: '1h', template: { labels: { 'argocd.argoproj.io/instance': 'x' } } } });
    await world.advance(2 * hourMs);
    expect(await entries()).toEqual(['baseURL']);
    expect((await world.secret('a-virtualkey'))?.metadata.labels).toEqual({ 'keywright.dev/key': 'a' });
  });
});
