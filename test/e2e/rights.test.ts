import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, untilHolds } from '../support/eventually.ts';
import {
  channelManifests,
  type Installation,
  openai,
  hello,
  startInstallation,
  untilReady,
  untilStatus,
  virtualKey,
} from './installation.ts';
import { readKey, untilKey } from './key-objects.ts';

/** Until the key that was delivered is answered by a model. */
async function call(installation: Installation, name: string, namespace: string): Promise<string | null | undefined> {
  const [proxy] = installation.proxies;
  if (proxy === undefined) throw new Error('no proxy');
  const key = await installation.deliveredKey(name, namespace);
  await untilStatus(proxy, key, 200);
  const answer = await openai(proxy, key).chat.completions.create({ model: 'gpt-4o-mini', messages: hello });
  return answer.choices[0]?.message.content;
}

describe('single namespaces, with Roles instead of a ClusterRole', () => {
  let installation: Installation;
  beforeAll(async () => {
    installation = await startInstallation({
      proxies: 1,
      values: { watchNamespaces: ['default', 'team-b'], userRoles: { create: false }, operator: { settings: { crdCheck: 'off' } } },
    });
    await installation.kubectl('create', 'namespace', 'elsewhere');
  });
  afterAll(async () => {
    await installation?.stop();
  });

  it('needs nothing of the cluster: no ClusterRole was made', async () => {
    expect(
      await installation.kubectl('get', 'clusterroles,clusterrolebindings', '-l', 'app.kubernetes.io/part-of=keywright', '-o', 'name'),
    ).toBe('');
  });

  it('issues, serves, rotates and revokes keys in those namespaces', async () => {
    for (const namespace of ['default', 'team-b']) {
      await installation.apply(channelManifests(installation.provider, namespace));
      await installation.apply(virtualKey('app', '{}', namespace));
      expect(await call(installation, 'app', namespace)).toContain('Hello');
      await untilKey(installation, 'app', { ready: 'True', reason: 'Issued' }, namespace);
    }
    const [proxy] = installation.proxies;
    if (proxy === undefined) throw new Error('no proxy');
    const first = await installation.deliveredKey('app', 'team-b');
    await installation.kubectl('annotate', 'vk', 'app', '-n', 'team-b', 'keywright.dev/rotate=now');
    const second = await eventually(
      async () => {
        const key = await installation.deliveredKey('app', 'team-b');
        return key === first ? undefined : key;
      },
      { withinMs: 60_000 },
    );
    await untilStatus(proxy, second, 200);
    await installation.apply(virtualKey('app', '{ revoked: true }', 'team-b'));
    await untilStatus(proxy, second, 403);
    await untilStatus(proxy, await installation.deliveredKey('app'), 200);
  });

  it('leaves a key in another namespace alone', async () => {
    await installation.apply(virtualKey('app', '{}', 'elsewhere'));
    // one that is made later and is Ready shows that there was time for the first
    await installation.apply(virtualKey('later', '{}', 'team-b'));
    await untilKey(installation, 'later', { ready: 'True', reason: 'Issued' }, 'team-b');
    // what the API server fills in by itself
    expect((await readKey(installation, 'app', 'elsewhere')).status).toMatchObject({ observedGeneration: -1, phase: 'Pending' });
  });

  it('says that a selector of namespaces is not supported there', async () => {
    const channel = channelManifests(installation.provider, 'team-b').replace(
      'spec:\n',
      'spec:\n  allowedNamespaces: { from: Selector, selector: { matchLabels: { a: b } } }\n',
    );
    await installation.apply(channel);
    await untilHolds(async () => {
      const { status } = JSON.parse(await installation.kubectl('get', 'channel', 'openai', '-n', 'team-b', '-o', 'json')) as {
        status?: { conditions?: { reason: string }[] };
      };
      expect(status?.conditions?.map(({ reason }) => reason)).toContain('SelectorUnsupported');
    });
  });

  it('was never refused anything', () => {
    expect(installation.logs()).not.toMatch(/Forbidden|\b403\b.*secrets/);
  });
});

describe('the whole cluster', () => {
  let installation: Installation;
  const tokenFile = (word: string): string => join(installation.directory, `${word}-token`);
  beforeAll(async () => {
    installation = await startInstallation({ proxies: 0 });
    await installation.operator.process.stop();
    for (const word of ['operator', 'proxy']) await renewToken(word);
    installation.operator = await installation.startOperator({
      KUBECONFIG: installation.controlPlane.kubeconfigForFile(tokenFile('operator')),
    });
    installation.proxies.push(
      await installation.startProxy({ KUBECONFIG: installation.controlPlane.kubeconfigForFile(tokenFile('proxy')) }),
    );
    await Promise.all(installation.proxies.map((proxy) => untilReady(proxy)));
  });
  afterAll(async () => {
    await installation?.stop();
  });

  async function renewToken(word: string): Promise<void> {
    writeFileSync(tokenFile(word), await installation.controlPlane.createToken(`keywright-system/keywright-${word}`));
  }

  it('is served without being refused anything', async () => {
    await installation.apply(channelManifests(installation.provider));
    await installation.apply(virtualKey('app'));
    expect(await call(installation, 'app', 'default')).toContain('Hello');
    expect(installation.logs()).not.toContain('Forbidden');
  });

  it('goes on with the token that was renewed in its file, without a restart, when the former is worth nothing any more', async () => {
    for (const word of ['operator', 'proxy']) {
      const account = JSON.stringify({
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: `keywright-${word}`, namespace: 'keywright-system' },
      });
      // a token is bound to the very account it was made for
      await installation.kubectl('delete', 'serviceaccount', `keywright-${word}`, '-n', 'keywright-system');
      await installation.apply(account);
      await renewToken(word);
    }
    // watches that run are not ended by that: with a new API server they have to come back
    await installation.controlPlane.killApiServer();
    await installation.controlPlane.startApiServer();
    await eventually(() => installation.apply(virtualKey('renewed')), { withinMs: 60_000 });
    await untilKey(installation, 'renewed', { ready: 'True', reason: 'Issued' });
    expect(await call(installation, 'renewed', 'default')).toContain('Hello');
  }, 180_000);
});
