import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tagOf } from '../../core/hash-tag.ts';
import { revocationsKey } from '../../core/revocation.ts';
import { untilHolds } from '../support/eventually.ts';
import { spawnKeywright } from '../support/process.ts';
import { metric, untilStatus } from './installation.ts';
import { chat, events, readKey, untilKey } from './key-objects.ts';
import {
  killLeader,
  openStreams,
  patchKey,
  type RevocationScene,
  startRevocationScene,
  type TestKey,
  timeRefusal,
} from './revocation-scene.ts';

let scene: RevocationScene;
/** made and accepted before anything is broken */
const keys = new Map<string, TestKey>();
const names = ['plain', 'streams', 'suspended', 'cut', 'flushed', 'lost', 'stopped', 'deleted', 'killed', 'glass', 'hashes'];

beforeAll(async () => {
  scene = await startRevocationScene();
  const made = await scene.makeKeys('key', names.length, ', limits: { rpm: 100000 }');
  for (const [index, name] of names.entries()) keys.set(name, made[index] as TestKey);
});
afterAll(async () => {
  await scene?.stop();
});

const key = (name: string): TestKey => {
  const found = keys.get(name);
  if (found === undefined) throw new Error(`no key ${name}`);
  return found;
};
const untilConnected = (value: number): Promise<void> =>
  untilHolds(
    async () => {
      for (const proxy of scene.proxies) expect(await metric(proxy, 'keywright_revocations_connected')).toEqual([value]);
    },
    { withinMs: 60_000 },
  );

describe('a revoked key', () => {
  it('is refused by every proxy, and its running streams end with key_revoked', async () => {
    const { ended } = await openStreams(scene, key('streams'));
    await timeRefusal(scene, key('streams'));
    for (const { text } of await ended) expect(text).toContain('"code":"key_revoked"');
  });

  it('suspended lets its streams go on and is refused until it is resumed', async () => {
    const { ended } = await openStreams(scene, key('suspended'));
    let over = false;
    void ended.then(() => void (over = true));
    await timeRefusal(scene, key('suspended'), { revoke: () => patchKey(scene, key('suspended').name, { suspended: true }) });
    expect(over).toBe(false);
    await patchKey(scene, key('suspended').name, { suspended: false });
    for (const proxy of scene.proxies) await untilStatus(proxy, key('suspended').text, 200);
    expect(over).toBe(false);
    await patchKey(scene, key('suspended').name, { revoked: true });
    await ended;
  });

  it('leaves nothing behind in Redis when every proxy has the snapshot', async () => {
    await untilHolds(async () => expect(await scene.installation.redis.cli('EXISTS', revocationsKey(tagOf('default/x')))).toBe(0), {
      withinMs: 60_000,
    });
  });
});

describe('each way alone is enough:', () => {
  it('Redis, for a proxy that cannot reach the API server; also when Redis is emptied afterwards', async () => {
    await scene.relay.cut();
    await timeRefusal(scene, key('cut'));
    await timeRefusal(scene, key('deleted'), {
      revoke: () => scene.installation.kubectl('delete', 'vk', key('deleted').name, '--wait=false'),
      status: 401,
    });
    await timeRefusal(scene, key('flushed'));
    await scene.installation.redis.cli('FLUSHALL');
    for (let round = 0; round < 20; round += 1) for (const proxy of scene.proxies) await untilStatus(proxy, key('flushed').text, 403);
    // a proxy that is cut off lives and says that it has not the snapshot: what it needs is written again, and stays
    await untilHolds(
      async () =>
        expect(await scene.installation.redis.cli('HEXISTS', revocationsKey(tagOf('default/x')), await fieldOf('flushed'))).toBe(1),
      { withinMs: 60_000 },
    );
    for (const proxy of scene.proxies) expect((await chat(proxy, key('plain').text)).status).toBe(200);
    await scene.relay.restore();
    await untilHolds(async () => expect(await scene.installation.redis.cli('EXISTS', revocationsKey(tagOf('default/x')))).toBe(0), {
      withinMs: 60_000,
    });
  });

  it('an admission, when nobody told the proxies what stands in Redis', async () => {
    await scene.installation.redis.cli('HSET', revocationsKey(tagOf('default/x')), `default/${key('lost').name} *`, '0 Revoked');
    for (const proxy of scene.proxies) expect((await chat(proxy, key('lost').text)).status).toBe(403);
  });

  it('the watch, when Redis is stopped', async () => {
    await scene.installation.redis.kill();
    await untilConnected(0);
    await timeRefusal(scene, key('stopped'));
    // an infrastructure failure is not told as the client's fault
    for (const proxy of scene.proxies) expect((await chat(proxy, key('plain').text)).status).toBe(200);
    await scene.installation.redis.start();
    await untilConnected(1);
  });

  it('break-glass, with no operator at all; the next leader makes it permanent', async () => {
    await Promise.all(scene.operators.splice(0).map(({ process }) => process.stop()));
    const environment = { KEYWRIGHT_REDIS_URL: scene.installation.redis.url };
    await timeRefusal(scene, key('glass'), {
      revoke: async () => {
        const command = spawnKeywright(['revoke', `default/${key('glass').name}`, '--break-glass', '--yes'], environment);
        expect(await command.child.ended).toBe(0);
        expect(command.lines).toContainEqual(expect.objectContaining({ audit: true, key: `default/${key('glass').name}` }));
      },
    });
    await scene.restoreOperators();
    await untilKey(scene.installation, key('glass').name, { ready: 'True', reason: 'Revoked', phase: 'Revoked' });
    await untilHolds(async () => expect(await events(scene.installation, key('glass').name)).toContain('KeyRevoked'));
    for (const proxy of scene.proxies) expect((await chat(proxy, key('plain').text)).status).toBe(200);
  });

  it('the standby, when the leader was killed just before; a hash taken out ends as well', async () => {
    await killLeader(scene);
    await timeRefusal(scene, key('killed'));
    const other = `sha256:${'a'.repeat(64)}`;
    await timeRefusal(scene, key('hashes'), {
      revoke: () => patchKey(scene, key('hashes').name, { credential: { hashes: [{ hash: other }] } }),
      status: 401,
    });
    expect((await readKey(scene.installation, key('killed').name)).status?.phase).toBe('Active');
  });
});

async function fieldOf(name: string): Promise<string> {
  const { metadata } = await readKey(scene.installation, key(name).name);
  return `default/${key(name).name} ${metadata.uid ?? ''}`;
}
