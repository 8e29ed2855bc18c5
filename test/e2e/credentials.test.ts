import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { untilHolds } from '../support/eventually.ts';
import { type Installation, type RunningProcess, channelManifests, startInstallation, untilStatus, virtualKey } from './installation.ts';
import { chat, events, readKey, readSecret, untilEvents, untilKey } from './key-objects.ts';

let installation: Installation;
let proxy: RunningProcess;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 1 });
  const [first] = installation.proxies;
  if (first === undefined) throw new Error('no proxy');
  proxy = first;
  await installation.apply(channelManifests(installation.provider));
  // issued side by side: each has to settle
  await installation.apply(
    [
      virtualKey('plain'),
      virtualKey(
        'dressed',
        '{ credential: { generate: { prefix: acme_ } }, delivery: { secretName: dressed-up, secretKey: token, environment: [OpenAI, Anthropic], ' +
          'template: { labels: { example.com/team: search }, annotations: { example.com/note: hello }, data: { MODEL: gpt-4o } } } }',
      ),
      virtualKey('deleted-secret'),
      virtualKey('edited-secret'),
      virtualKey('address-edited'),
    ].join('---\n'),
  );
  await Promise.all(['plain', 'dressed', 'deleted-secret', 'edited-secret', 'address-edited'].map((name) => untilActive(name)));
});
afterAll(async () => {
  await installation?.stop();
});

const untilActive = (name: string): Promise<void> => untilKey(installation, name, { phase: 'Active', ready: 'True', reason: 'Issued' });
const untilEvent = (name: string, event: RegExp, namespace?: string): Promise<void> => untilEvents(installation, name, event, namespace);
const toHash = (key: string): string => `sha256:${createHash('sha256').update(key).digest('hex')}`;
const makeKey = (): string => `own-${randomBytes(24).toString('base64url')}`;
const labelled = (name: string, entries: Readonly<Record<string, string>>, labels = '{ keywright.dev/credential: "true" }'): string =>
  `apiVersion: v1\nkind: Secret\nmetadata: { name: ${name}, labels: ${labels} }\nstringData: ${JSON.stringify(entries)}\n`;

describe('generate', () => {
  it('writes the status that the schema promises', async () => {
    const { status, metadata } = await readKey(installation, 'plain');
    const key = await installation.deliveredKey('plain');
    expect(status).toMatchObject({
      observedGeneration: metadata.generation,
      phase: 'Active',
      keyId: 'default/plain',
      prefix: `${key.slice(0, 'sk-kw-'.length + 4)}…`,
      secretName: 'plain-virtualkey',
      credentials: [{ id: expect.stringMatching(/^[0-9a-f]{12}$/), prefix: `${key.slice(0, 10)}…`, state: 'Active' }],
    });
    expect(status?.conditions?.map(({ type, status: value }) => `${type}=${value}`).toSorted()).toEqual([
      'Accepted=True',
      'CredentialsReady=True',
      'Published=True',
      'Ready=True',
    ]);
    await untilEvent('plain', /Normal\s+KeyIssued/);
  });

  it('takes prefix, Secret name, entry, environment and template from the spec, and owns the Secret', async () => {
    const { metadata, type, text } = await readSecret(installation, 'dressed-up');
    const key = text['token'] ?? '';
    expect(key).toMatch(/^acme_[0-9A-Za-z]{10}-[0-9A-Za-z]{49}$/);
    const url = 'https://gateway.example.com';
    expect(text).toEqual({
      token: key,
      baseURL: url,
      OPENAI_API_KEY: key,
      OPENAI_BASE_URL: `${url}/v1`,
      ANTHROPIC_API_KEY: key,
      ANTHROPIC_BASE_URL: url,
      MODEL: 'gpt-4o',
    });
    const { uid } = (await readKey(installation, 'dressed')).metadata;
    expect(type).toBe('Opaque');
    expect(metadata.labels).toEqual({ 'example.com/team': 'search', 'keywright.dev/key': 'dressed' });
    expect(metadata.annotations).toEqual({ 'example.com/note': 'hello' });
    expect(metadata.ownerReferences).toEqual([
      { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', name: 'dressed', uid, controller: true, blockOwnerDeletion: false },
    ]);
    await untilStatus(proxy, key, 200);
  });

  it('makes a new key when the delivery Secret was deleted by hand; the old one works until its overlap ends', async () => {
    const before = await installation.deliveredKey('deleted-secret');
    await installation.kubectl('delete', 'secret', 'deleted-secret-virtualkey');
    await untilHolds(async () => expect(await installation.deliveredKey('deleted-secret')).not.toBe(before));
    const after = await installation.deliveredKey('deleted-secret');
    await untilStatus(proxy, after, 200);
    await untilStatus(proxy, before, 200);
    await untilHolds(async () => {
      const { status } = await readKey(installation, 'deleted-secret');
      expect(status?.credentials).toEqual([
        expect.objectContaining({ state: 'Retiring', notAfter: expect.any(String) }),
        expect.objectContaining({ state: 'Active' }),
      ]);
      expect(status?.prefix).toBe(`${after.slice(0, 10)}…`);
    });
    await untilEvent('deleted-secret', /Warning\s+DeliverySecretRecreated/);
  });

  it('never accepts a value that somebody wrote into the delivery Secret, and replaces it', async () => {
    const planted = makeKey();
    const before = await installation.deliveredKey('edited-secret');
    const patch = JSON.stringify({ stringData: { apiKey: planted } });
    await installation.kubectl('patch', 'secret', 'edited-secret-virtualkey', '--type=merge', '-p', patch);
    await untilHolds(async () => expect([planted, before]).not.toContain(await installation.deliveredKey('edited-secret')));
    await untilStatus(proxy, await installation.deliveredKey('edited-secret'), 200);
    await untilStatus(proxy, before, 200);
    expect((await chat(proxy, planted)).status).toBe(401);
    await untilEvent('edited-secret', /Warning\s+DeliverySecretTampered/);
  });

  it('sets another entry of the delivery Secret right and keeps the key', async () => {
    const key = await installation.deliveredKey('address-edited');
    const patch = '{"stringData":{"baseURL":"https://evil.example.com","EXTRA":"x"}}';
    await installation.kubectl('patch', 'secret', 'address-edited-virtualkey', '--type=merge', '-p', patch);
    await untilHolds(async () => {
      const { text } = await readSecret(installation, 'address-edited-virtualkey');
      expect(text).toEqual({ apiKey: key, baseURL: 'https://gateway.example.com' });
    });
  });

  it('refuses template names that steer other controllers, and issues as soon as they are gone', async () => {
    const names = ['app.kubernetes.io/name', 'x.k8s.io/y', 'argocd.argoproj.io/instance', 'helm.sh/chart', 'keywright.dev/key'];
    for (const [index, name] of names.entries()) {
      const kind = index % 2 === 0 ? 'labels' : 'annotations';
      await installation.apply(virtualKey('steering', `{ delivery: { template: { ${kind}: { ${name}: x } } } }`));
      const { metadata } = await readKey(installation, 'steering');
      await untilKey(installation, 'steering', { ready: 'False', reason: 'PolicyViolation', generation: metadata.generation ?? 0 });
    }
    expect((await readKey(installation, 'steering')).status?.phase).toBe('Failed');
    expect(await installation.kubectl('get', 'secret', 'steering-virtualkey', '--ignore-not-found')).toBe('');
    await installation.apply(virtualKey('steering'));
    await untilActive('steering');
  });
});

describe('hashes', () => {
  it('are in force as written, within their own times, and revoked for ever when an entry is taken out', async () => {
    const [now, later, past, kept] = [makeKey(), makeKey(), makeKey(), makeKey()];
    const at = (ms: number): string => new Date(Date.now() + ms).toISOString();
    const entries = (hashes: readonly string[]): string => `{ credential: { hashes: [${hashes.join(', ')}] } }`;
    const kinds = [
      `{ hash: "${toHash(later)}", notBefore: "${at(3_600_000)}" }`,
      `{ hash: "${toHash(past)}", notAfter: "${at(-1_000)}" }`,
      `{ hash: "${toHash(kept)}", prefix: own-kept }`,
    ];
    await installation.apply(virtualKey('brought', entries([`{ hash: "${toHash(now)}" }`, ...kinds])));
    await untilStatus(proxy, now, 200);
    await untilStatus(proxy, kept, 200);
    expect((await chat(proxy, later)).status).toBe(401);
    expect((await chat(proxy, past)).status).toBe(401);
    await untilActive('brought');
    const { status } = await readKey(installation, 'brought');
    expect(status?.credentials?.map(({ state }) => state)).toEqual(['Active', 'NotYetValid', 'Expired', 'Active']);
    expect([status?.prefix, status?.secretName]).toEqual(['own-kept', undefined]);

    await installation.apply(virtualKey('brought', entries(kinds)));
    await untilStatus(proxy, now, 401);
    await untilStatus(proxy, kept, 200);
    await installation.apply(virtualKey('brought', entries([`{ hash: "${toHash(now)}" }`, ...kinds])));
    await untilKey(installation, 'brought', { ready: 'False', reason: 'CredentialRevoked', phase: 'Active' });
    expect((await chat(proxy, now)).status).toBe(401);
    await untilStatus(proxy, kept, 200);
  });

  it('belong to the key that brought them first; another one is not told whose', async () => {
    const key = makeKey();
    const spec = `{ credential: { hashes: [{ hash: "${toHash(key)}" }] }, access: { models: ["first-*"] } }`;
    await installation.apply(virtualKey('first-owner', spec));
    await untilActive('first-owner');
    await installation.apply(virtualKey('second-owner', spec, 'team-b'));
    await untilKey(installation, 'second-owner', { ready: 'False', reason: 'DuplicateCredential', phase: 'Failed' }, 'team-b');
    await untilEvent('second-owner', /Warning\s+DuplicateCredential/, 'team-b');
    const told = `${await installation.kubectl('get', 'vk', 'second-owner', '-n', 'team-b', '-o', 'yaml')}${await events(installation, 'second-owner', 'team-b')}`;
    expect(told).not.toMatch(/first-owner|default\//);
    await installation.kubectl('patch', 'vk', 'second-owner', '-n', 'team-b', '--type=merge', '-p', '{"spec":{"revoked":true}}');
    await untilKey(installation, 'second-owner', { ready: 'True', reason: 'Revoked', phase: 'Revoked' }, 'team-b');
    expect((await chat(proxy, key)).status).not.toBe(401);
    await untilStatus(proxy, key, 200);
  });
});

describe('secretRef', () => {
  it('follows the labelled Secret: missing, unlabelled, filled, changed with and without the former key, weak', async () => {
    const [first, second, third] = [makeKey(), makeKey(), makeKey()];
    await installation.apply(virtualKey('referring', '{ credential: { secretRef: { name: vault, key: now, previousKey: before } } }'));
    const missing = { ready: 'False', reason: 'SecretNotFound', phase: 'Pending' };
    await untilKey(installation, 'referring', missing);
    const { message } = await untilKeyMessage('referring');
    await installation.apply(labelled('vault', { now: first }, '{}'));
    await untilKey(installation, 'referring', missing);
    expect((await untilKeyMessage('referring')).message).toBe(message);
    expect((await chat(proxy, first)).status).toBe(401);

    await installation.apply(labelled('vault', { now: `${first}\n` }));
    await untilStatus(proxy, first, 200);
    await untilActive('referring');
    await installation.apply(labelled('vault', { now: second, before: first }));
    await untilStatus(proxy, second, 200);
    await untilStatus(proxy, first, 200);
    await installation.apply(labelled('vault', { now: third, before: second }));
    await untilStatus(proxy, third, 200);
    await untilStatus(proxy, first, 401);
    await untilStatus(proxy, second, 200);

    await installation.apply(labelled('vault', { now: 'too-short', before: second }));
    await untilKey(installation, 'referring', { ready: 'False', reason: 'WeakKey' });
    await untilStatus(proxy, third, 200);
    expect((await chat(proxy, 'too-short')).status).toBe(401);
    await untilEvent('referring', /Warning\s+WeakKey/);
    expect((await readKey(installation, 'referring')).status?.secretName).toBeUndefined();
  });

  async function untilKeyMessage(name: string): Promise<{ message: string }> {
    const { status } = await readKey(installation, name);
    return { message: status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? '' };
  }
});

describe('a provider key', () => {
  it('that changes in its labelled Secret is used for the next requests, without a restart', async () => {
    const key = await installation.deliveredKey('plain');
    expect((await chat(proxy, key)).status).toBe(200);
    const next = `sk-provider-next-${randomBytes(12).toString('hex')}`;
    const patch = JSON.stringify({ stringData: { apiKey: next } });
    await installation.kubectl('patch', 'secret', 'provider-key', '--type=merge', '-p', patch);
    await untilHolds(async () => {
      expect((await chat(proxy, key)).status).toBe(200);
      expect(JSON.stringify(installation.provider.requests.at(-1))).toContain(next);
    });
  });
});
