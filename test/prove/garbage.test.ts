import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilHolds } from '../support/eventually.ts';
import {
  channelManifests,
  type Installation,
  type RunningProcess,
  startInstallation,
  untilStatus,
  virtualKey,
} from '../e2e/installation.ts';
import { readKey, readSecret, untilKey } from '../e2e/key-objects.ts';

let installation: Installation;
let proxy: RunningProcess;

/** With the real garbage collector and namespace controller beside the API server. */
beforeAll(async () => {
  installation = await startInstallation({ proxies: 1 });
  const [first] = installation.proxies;
  if (first === undefined) throw new Error('no proxy');
  proxy = first;
  await installation.controlPlane.startControllers();
  await installation.apply(channelManifests(installation.provider));
});
afterAll(async () => {
  await installation?.stop();
});

async function issue(name: string): Promise<string> {
  await installation.apply(virtualKey(name));
  await untilKey(installation, name, { ready: 'True', reason: 'Issued' });
  return installation.deliveredKey(name);
}

async function untilGone(...words: string[]): Promise<void> {
  await untilHolds(async () => expect(await installation.kubectl('get', ...words, '--ignore-not-found', '-o', 'name')).toBe(''), {
    withinMs: 60_000,
    everyMs: 200,
  });
}

describe('garbage collection', () => {
  it.each(['background', 'foreground'])('a deleted VirtualKey takes its delivery Secret with it (%s)', async (cascade) => {
    const key = await issue(`gc-${cascade}`);
    await installation.kubectl('delete', 'vk', `gc-${cascade}`, `--cascade=${cascade}`, '--timeout=60s');
    await untilGone('secret', `gc-${cascade}-virtualkey`);
    await untilStatus(proxy, key, 401);
  });

  it('one that is deleted and made again at once gets a new key, without anybody’s help', async () => {
    const before = await issue('gc-again');
    await installation.kubectl('delete', 'vk', 'gc-again', '--wait=false');
    await installation.apply(virtualKey('gc-again'));
    await untilKey(installation, 'gc-again', { ready: 'True', reason: 'Issued' });
    await untilHolds(async () => expect(await installation.deliveredKey('gc-again')).not.toBe(before), { withinMs: 60_000 });
    await untilStatus(proxy, await installation.deliveredKey('gc-again'), 200);
    await untilStatus(proxy, before, 401);
  });

  it('a Secret that was orphaned is nobody’s: it is not taken over', async () => {
    const before = await issue('gc-orphan');
    await installation.kubectl('delete', 'vk', 'gc-orphan', '--cascade=orphan', '--timeout=60s');
    await untilHolds(
      async () => expect((await readSecret(installation, 'gc-orphan-virtualkey')).metadata.ownerReferences ?? []).toEqual([]),
      {
        withinMs: 60_000,
      },
    );
    await installation.apply(virtualKey('gc-orphan'));
    await untilKey(installation, 'gc-orphan', { ready: 'False', reason: 'SecretNotOwned' });
    await untilStatus(proxy, before, 401);
    await installation.kubectl('delete', 'secret', 'gc-orphan-virtualkey');
    await untilHolds(async () => expect((await readKey(installation, 'gc-orphan')).status?.phase).toBe('Active'), { withinMs: 180_000 });
  }, 240_000);
});

describe('a namespace', () => {
  it('with keys and Channels in it goes away, and nothing of them stays in force', async () => {
    await installation.kubectl('create', 'namespace', 'leaving');
    await installation.apply(channelManifests(installation.provider, 'leaving'));
    const names = Array.from({ length: 10 }, (_, index) => `leaving-${index}`);
    await installation.apply(names.map((name) => virtualKey(name, '{}', 'leaving')).join('---\n'));
    const keys = await Promise.all(names.map((name) => installation.deliveredKey(name, 'leaving')));
    await installation.kubectl('delete', 'namespace', 'leaving', '--timeout=120s');
    await untilGone('namespace', 'leaving');
    for (const key of keys) await untilStatus(proxy, key, 401);
    // and can be made again
    await installation.kubectl('create', 'namespace', 'leaving');
    await installation.apply(virtualKey('leaving-0', '{}', 'leaving'));
    expect(keys).not.toContain(await installation.deliveredKey('leaving-0', 'leaving'));
  }, 240_000);
});
