import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { makeTemporaryDirectory } from '../support/child.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { type KeywrightProcess, spawnKeywright } from '../support/process.ts';
import { type Gateway, manifestsFor, startGateway } from './gateway.ts';

let gateway: Gateway | undefined;
const extra: KeywrightProcess[] = [];

afterEach(async () => {
  await Promise.all(extra.splice(0).map((process) => process.stop()));
  await gateway?.stop();
  gateway = undefined;
});

async function status(address: string, key: string): Promise<number> {
  const answer = await fetch(`${address}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  await answer.arrayBuffer();
  return answer.status;
}

const vk = (name: string, spec: string): string =>
  `---\napiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: { name: ${name} }\nspec: ${spec}\n`;

describe('keywright standalone', () => {
  it('prints one listening line with the addresses, traffic first', async () => {
    gateway = await startGateway({ manifests: (provider) => manifestsFor(provider, { app: '{}' }) });
    const lines = gateway.process.lines.filter((line) => line['event'] === 'listening');
    expect(lines).toHaveLength(1);
    expect(Object.keys(lines[0] ?? {}).filter((name) => name === 'address' || name === 'admin')).toEqual(['address', 'admin']);
    expect(gateway.address).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    expect((await fetch(`${gateway.admin}/livez`)).status).toBe(200);
    await untilHolds(async () => expect((await fetch(`${gateway?.admin}/readyz`)).status).toBe(200));
    expect(await (await fetch(`${gateway.admin}/metrics`)).text()).toContain('keywright_build_info');
  });

  it('writes delivery Secrets 0600 into a folder 0700', async () => {
    gateway = await startGateway({
      manifests: (provider) => manifestsFor(provider, { app: '{ delivery: { environment: [OpenAI, Anthropic] } }' }),
    });
    const key = await gateway.key('app');
    const file = join(gateway.state, 'secrets', 'default', 'app-virtualkey.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(gateway.state).mode & 0o777).toBe(0o700);
    const secret = JSON.parse(readFileSync(file, 'utf8')) as { kind: string; data: Record<string, string> };
    expect(secret.kind).toBe('Secret');
    expect(Object.keys(secret.data).toSorted()).toEqual([
      'ANTHROPIC_API_KEY',
      'ANTHROPIC_BASE_URL',
      'OPENAI_API_KEY',
      'OPENAI_BASE_URL',
      'apiKey',
      'baseURL',
    ]);
    expect(Buffer.from(secret.data['OPENAI_API_KEY'] ?? '', 'base64').toString()).toBe(key);
    // The plaintext is in that one file and in no other of the state.
    const holding = readdirSync(gateway.state, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter(
        (path) => readFileSync(path, 'latin1').includes(key) || readFileSync(path, 'latin1').includes(Buffer.from(key).toString('base64')),
      );
    expect(holding).toEqual([file]);
  });

  it('follows the folder: a new file, an edit, a rejected edit, a vanished file', async () => {
    gateway = await startGateway({ manifests: (provider) => manifestsFor(provider, {}) });
    const { address } = gateway;
    gateway.write('b.yaml', vk('later', '{}'));
    const key = await gateway.key('later');
    await untilHolds(async () => expect(await status(address, key)).toBe(200));

    gateway.write('b.yaml', vk('later', '{ suspended: true }'));
    await untilHolds(async () => expect(await status(address, key)).toBe(403));
    gateway.write('b.yaml', vk('later', '{ suspended: false }'));
    await untilHolds(async () => expect(await status(address, key)).toBe(200));

    gateway.write('b.yaml', vk('later', '{ suspendet: true }'));
    const rejected = await gateway.process.waitForEvent((line) => line['event'] === 'manifest_rejected');
    expect(JSON.stringify(rejected)).toMatch(/suspendet/);
    expect(await status(address, key)).toBe(200);

    rmSync(join(gateway.manifests, 'b.yaml'));
    await untilHolds(async () => expect(await status(address, key)).toBe(401));
  });

  it('keeps keys over a restart, and a revoked key stays revoked whatever the file says later', async () => {
    gateway = await startGateway({ manifests: (provider) => manifestsFor(provider, { kept: '{}' }) });
    const { manifests, state, address } = gateway;
    gateway.write('b.yaml', vk('doomed', '{}'));
    const kept = await gateway.key('kept');
    const doomed = await gateway.key('doomed');
    gateway.write('b.yaml', vk('doomed', '{ revoked: true }'));
    await untilHolds(async () => expect(await status(address, doomed)).toBe(403));
    expect(await gateway.process.stop()).toBe(0);

    gateway.write('b.yaml', vk('doomed', '{}'));
    const again = spawnKeywright([
      'standalone',
      '--manifests',
      manifests,
      '--state',
      state,
      '--listen',
      '127.0.0.1:0',
      '--admin',
      '127.0.0.1:0',
    ]);
    extra.push(again);
    const next = String((await again.waitForEvent((line) => line['event'] === 'listening'))['address']);
    await untilHolds(async () => expect(await status(next, kept)).toBe(200));
    expect(await status(next, doomed)).toBe(403);
    expect(await gateway.key('kept')).toBe(kept);
  });

  it('refuses a state folder that another process has', async () => {
    gateway = await startGateway({ manifests: (provider) => manifestsFor(provider, {}) });
    const second = spawnKeywright([
      'standalone',
      '--manifests',
      gateway.manifests,
      '--state',
      gateway.state,
      '--listen',
      '127.0.0.1:0',
      '--admin',
      '127.0.0.1:0',
    ]);
    extra.push(second);
    expect(await second.child.ended).toBe(1);
    expect(second.output()).toMatch(/in use by process/);
  });

  it('ends with 64 and names every mistake', async () => {
    const folder = makeTemporaryDirectory('mistakes');
    mkdirSync(join(folder, 'manifests'));
    writeFileSync(join(folder, 'manifests', 'empty.yaml'), '');
    const wrong = spawnKeywright(['standalone', '--listen', 'nowhere', '--bogus', 'x'], {
      KEYWRIGHT_LOG_LEVEL: 'loud',
      KEYWRIGHT_MAX_BODY_BYTES: 'many',
    });
    extra.push(wrong);
    expect(await wrong.child.ended).toBe(64);
    for (const name of ['--manifests', '--bogus', 'KEYWRIGHT_LOG_LEVEL', 'KEYWRIGHT_MAX_BODY_BYTES', 'listen']) {
      expect(wrong.output().toLowerCase()).toContain(name.toLowerCase());
    }
  });

  it('lets a running stream finish on SIGTERM and ends with 0', async () => {
    gateway = await startGateway({
      behaviour: () => ({ chunks: 20, chunkDelayMs: 50 }),
      manifests: (provider) => manifestsFor(provider, { app: '{}' }),
    });
    const key = await gateway.key('app');
    const answer = await fetch(`${gateway.address}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: '{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Hello"}]}',
    });
    const reading = answer.text();
    const stopped = gateway.process.stop(20_000);
    expect(await reading).toContain('data: [DONE]');
    expect(await stopped).toBe(0);
  });

  it('shares its limits with another process through Redis', async () => {
    const { startRedis } = await import('../support/redis.ts');
    const redis = await startRedis();
    try {
      gateway = await startGateway({
        redisUrl: redis.url,
        manifests: (provider) => manifestsFor(provider, { shared: '{ limits: { rpm: 3 } }' }),
      });
      const key = await gateway.key('shared');
      // The same manifests and the same records, as a second machine would have them.
      const twin = makeTemporaryDirectory('twin');
      const { cpSync } = await import('node:fs');
      cpSync(gateway.state, join(twin, 'state'), { recursive: true, filter: (path) => !path.endsWith('lock') });
      const second = spawnKeywright([
        'standalone',
        '--manifests',
        gateway.manifests,
        '--state',
        join(twin, 'state'),
        '--redis',
        redis.url,
        '--listen',
        '127.0.0.1:0',
        '--admin',
        '127.0.0.1:0',
      ]);
      extra.push(second);
      const other = String((await second.waitForEvent((line) => line['event'] === 'listening'))['address']);
      await eventually(async () => (await status(other, key)) === 200);
      const statuses: number[] = [];
      for (const address of [gateway.address, other, gateway.address, other]) {
        const answer = await fetch(`${address}/v1/chat/completions`, {
          method: 'POST',
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
          body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}',
        });
        await answer.arrayBuffer();
        statuses.push(answer.status);
      }
      expect(statuses).toEqual([200, 200, 200, 429]);
    } finally {
      await redis.stop();
    }
  });
});
