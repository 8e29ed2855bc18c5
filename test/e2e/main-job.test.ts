import { gunzipSync } from 'node:zlib';
import { PermissionDeniedError as AnthropicPermissionDeniedError } from '@anthropic-ai/sdk';
import { AuthenticationError, PermissionDeniedError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  anthropic,
  channelManifests,
  hello,
  type Installation,
  openai,
  providerSecret,
  startInstallation,
  untilStatus,
  virtualKey,
} from './installation.ts';

let installation: Installation;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 2 });
});
afterAll(async () => {
  await installation?.stop();
});

describe('kubectl apply -f virtualkey.yaml', () => {
  let key: string;

  it('delivers a key that every proxy accepts at once', async () => {
    await installation.apply(channelManifests(installation.provider));
    await installation.apply(virtualKey('my-app'));
    key = await installation.deliveredKey('my-app');
    expect(key).toMatch(/^sk-kw-[0-9A-Za-z]{10}-[0-9A-Za-z]{49}$/);
    for (const proxy of installation.proxies) {
      const answer = await fetch(`${proxy.address}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
      expect(answer.status).toBe(200);
    }
  });

  it('lets the official SDKs stream through both proxies', async () => {
    for (const proxy of installation.proxies) {
      let text = '';
      const stream = await openai(proxy, key).chat.completions.create({ model: 'gpt-4o-mini', messages: hello, stream: true });
      for await (const chunk of stream) {
        expect(chunk.choices.length).toBeGreaterThan(0);
        text += chunk.choices[0]?.delta.content ?? '';
      }
      expect(text.length).toBeGreaterThan(0);

      const message = await anthropic(proxy, key)
        .messages.stream({ model: 'claude-sonnet-4-5', max_tokens: 64, messages: hello })
        .finalMessage();
      expect(message.content[0]).toMatchObject({ type: 'text' });
      expect(message.usage.output_tokens).toBeGreaterThan(0);
    }
    const forwarded = installation.provider.requests.at(-1);
    expect(JSON.stringify(forwarded)).not.toContain(key);
    expect(JSON.stringify(forwarded)).toContain(providerSecret);
  });

  it('shows Active, the prefix and Ready, and kubectl wait works', async () => {
    await installation.kubectl('wait', '--for=condition=Ready', 'virtualkey/my-app', '--timeout=10s');
    const table = await installation.kubectl('get', 'vk', 'my-app');
    expect(table).toMatch(/NAME\s+STATUS\s+PREFIX\s+READY\s+REASON/);
    expect(table).toMatch(/my-app\s+Active\s+sk-kw-\w{4}…\s+True\s+Issued/);
    expect(table).toContain(key.slice(0, 'sk-kw-'.length + 4));
  });

  it('refuses a revoked key with 403 on both proxies soon after the write, in the words of the SDKs', async () => {
    await installation.kubectl('patch', 'vk', 'my-app', '--type=merge', '-p', '{"spec":{"revoked":true}}');
    const written = Date.now();
    await Promise.all(installation.proxies.map((proxy) => untilStatus(proxy, key, 403)));
    // how soon is measured by `make prove-revocation`; here it is before anything is listed anew, on a busy machine too
    expect(Date.now() - written).toBeLessThan(20_000);
    for (const proxy of installation.proxies) {
      const refused = openai(proxy, key).chat.completions.create({ model: 'gpt-4o-mini', messages: hello });
      await expect(refused).rejects.toBeInstanceOf(PermissionDeniedError);
      await expect(refused).rejects.toMatchObject({ status: 403, code: 'key_revoked' });
      await expect(
        anthropic(proxy, key).messages.create({ model: 'claude-sonnet-4-5', max_tokens: 8, messages: hello }),
      ).rejects.toBeInstanceOf(AnthropicPermissionDeniedError);
    }
    await expect(installation.kubectl('patch', 'vk', 'my-app', '--type=merge', '-p', '{"spec":{"revoked":false}}')).rejects.toThrow(
      /stays revoked/,
    );
  });

  it('refuses a deleted key with 401', async () => {
    await installation.apply(virtualKey('short-lived'));
    const deleted = await installation.deliveredKey('short-lived');
    const [proxy] = installation.proxies;
    if (proxy === undefined) throw new Error('no proxy');
    await untilStatus(proxy, deleted, 200);
    await installation.kubectl('delete', 'vk', 'short-lived', '--wait=false');
    await Promise.all(installation.proxies.map((each) => untilStatus(each, deleted, 401)));
    await expect(openai(proxy, deleted).models.list()).rejects.toBeInstanceOf(AuthenticationError);
  });
});

describe('the plaintext of a key', () => {
  it('is found nowhere but in the delivery Secret: etcd, Redis, logs, metrics, Events, snapshot dumps', async () => {
    await installation.apply(virtualKey('needle', '{ limits: { rpm: 100, tpm: 100000 } }'));
    const needle = await installation.deliveredKey('needle');
    for (const proxy of installation.proxies) {
      await openai(proxy, needle).chat.completions.create({ model: 'gpt-4o-mini', messages: hello });
      await fetch(`${proxy.address}/v1/models?key=${needle}`, { headers: { 'x-api-key': `${needle}x` } });
      await fetch(`${proxy.address}/nowhere/${'x'.repeat(8)}?key=${needle}`);
    }
    const random = needle.slice(-40);
    const outputs = new Map<string, string>();
    const snapshot = await snapshotDocuments();
    for (const proxy of [...installation.proxies, installation.operator]) {
      outputs.set(`metrics of ${proxy.admin}`, await (await fetch(`${proxy.admin}/metrics`)).text());
      outputs.set(`dump of ${proxy.admin}`, await (await fetch(`${proxy.admin}/debug/snapshot`)).text());
    }
    outputs.set('logs', installation.logs());
    outputs.set('Events', await installation.kubectl('get', 'events', '-A', '-o', 'json'));
    outputs.set('keys', await installation.kubectl('get', 'vk,chan', '-A', '-o', 'json'));
    outputs.set('Redis', await redisContents());
    expect(snapshot.length).toBeGreaterThan(10_000);
    expect(snapshot.includes(random), 'the key is in the snapshot').toBe(false);
    for (const [where, text] of outputs) {
      expect(text.includes(random), `the key is in ${where}`).toBe(false);
      expect(text.includes(providerSecret), `the provider's key is in ${where}`).toBe(false);
    }
    // A search that finds nothing anywhere would prove nothing: the delivery Secret must be found, exactly there.
    expect(await etcdKeysWith(random)).toEqual(['/registry/secrets/default/needle-virtualkey']);
  });

  /** All published documents, unpacked; they hold the provider's key by design, and no virtual key. */
  async function snapshotDocuments(): Promise<string> {
    const secrets = JSON.parse(await installation.kubectl('get', 'secrets', '-n', 'keywright-snapshot', '-o', 'json')) as {
      items: { data: { document: string } }[];
    };
    return secrets.items.map(({ data }) => gunzipSync(Buffer.from(data.document, 'base64')).toString()).join('\n');
  }

  async function redisContents(): Promise<string> {
    const names = (await installation.redis.cli('KEYS', '*')) as string[];
    expect(names.length).toBeGreaterThan(0);
    const dumps = await Promise.all(
      names.map(async (name) => {
        const type = String(await installation.redis.cli('TYPE', name));
        const read = {
          hash: ['HGETALL'],
          zset: ['ZRANGE', '0', '-1', 'WITHSCORES'],
          string: ['GET'],
          list: ['LRANGE', '0', '-1'],
          set: ['SMEMBERS'],
          stream: ['XRANGE', '-', '+'],
        }[type];
        if (read === undefined) throw new Error(`no reader for the Redis type ${type}`);
        return `${name} ${JSON.stringify(await installation.redis.cli(read[0] ?? '', name, ...read.slice(1)))}`;
      }),
    );
    return dumps.join('\n');
  }

  /** Names of the etcd entries whose value has the text: the API server stores the bytes of a Secret's values as they are. */
  async function etcdKeysWith(text: string): Promise<string[]> {
    const entries = await installation.controlPlane.etcdEntries();
    expect(entries.length).toBeGreaterThan(100);
    return entries.filter(({ value }) => value.includes(text)).map(({ key: name }) => name);
  }
});
