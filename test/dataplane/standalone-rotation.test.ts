import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CredentialRecord } from '../../operator/credentials/hashed-secret.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { otherClient } from '../e2e/installation.ts';
import { untilHolds } from '../support/eventually.ts';
import { type Gateway, manifestsFor, startGateway } from './gateway.ts';

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({
    manifests: (provider) => manifestsFor(provider, {}),
    environment: { KEYWRIGHT_TRUSTED_PROXIES: '127.0.0.1' },
  });
});
afterAll(async () => {
  await gateway?.stop();
});

function write(name: string, spec: string): void {
  gateway.write(
    `${name}.yaml`,
    `apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: { name: ${name}, namespace: default }\nspec: ${spec}\n`,
  );
}

async function status(key: string): Promise<number> {
  const answer = await fetch(`${gateway.address}/v1/models`, { headers: { authorization: `Bearer ${key}`, ...otherClient() } });
  await answer.arrayBuffer();
  return answer.status;
}

async function untilStatus(key: string, wanted: number): Promise<void> {
  await untilHolds(async () => expect(await status(key)).toBe(wanted), { everyMs: 100 });
}

/** The key in the delivery Secret; '' after it was redacted. */
async function delivered(name: string): Promise<string> {
  const text = readFileSync(join(gateway.state, 'secrets', 'default', `${name}-virtualkey.json`), 'utf8');
  const { data = {} } = JSON.parse(text) as { data?: Record<string, string> };
  return Buffer.from(data['apiKey'] ?? '', 'base64').toString();
}

async function untilAnother(name: string, before: string): Promise<string> {
  await untilHolds(async () => expect([before, '']).not.toContain(await delivered(name)));
  return delivered(name);
}

/** What the state folder remembers of a key. */
function readRecord(name: string): CredentialRecord {
  const objects = join(gateway.state, 'objects');
  for (const entry of readdirSync(objects, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const { data = {} } = JSON.parse(readFileSync(join(entry.parentPath, entry.name), 'utf8')) as { data?: Record<string, string> };
    if (data['record'] === undefined) continue;
    const record = JSON.parse(Buffer.from(data['record'], 'base64').toString()) as CredentialRecord;
    if (record.keyId === `default/${name}`) return record;
  }
  throw new Error(`no record of ${name}`);
}

function stateOf(name: string, key: string): string | undefined {
  return readRecord(name).credentials.find(({ hash }) => hash === sha256Hex(key))?.state;
}

let fresh = 0;

/** Until what was there at the start has been looked at: a key that is written after it has been delivered. */
async function untilCaughtUp(): Promise<void> {
  fresh += 1;
  write(`fresh-${fresh}`, '{}');
  await untilStatus(await gateway.key(`fresh-${fresh}`), 200);
}

describe('keywright standalone', () => {
  it('rotates by an edited trigger, once, and a restart neither repeats it nor keeps the old key alive', async () => {
    const spec = (trigger: string, overlap: string): string => `{ rotation: { trigger: "${trigger}", overlap: ${overlap} } }`;
    for (const [name, overlap] of [
      ['long', '1h'],
      ['short', '4s'],
      ['none', '0s'],
    ] as const)
      write(name, spec('1', overlap));
    const old = { long: await gateway.key('long'), short: await gateway.key('short'), none: await gateway.key('none') };
    for (const key of Object.values(old)) await untilStatus(key, 200);

    write('long', spec('2', '1h'));
    write('none', spec('2', '0s'));
    write('short', spec('2', '4s'));
    const next = {
      long: await untilAnother('long', old.long),
      short: await untilAnother('short', old.short),
      none: await untilAnother('none', old.none),
    };
    for (const key of Object.values(next)) expect(await status(key)).toBe(200);
    await untilStatus(old.none, 401);
    await untilHolds(() => expect(stateOf('short', next.short)).toBe('Active'));
    const endsMs = readRecord('short').credentials.find(({ hash }) => hash === sha256Hex(old.short))?.notAfter ?? 0;
    const before = { long: readRecord('long'), none: readRecord('none') };
    expect(before.long).toMatchObject({ handledTrigger: '2', credentials: [{ state: 'Retiring' }, { state: 'Active' }] });

    await gateway.halt();
    await gateway.start();
    for (const key of [...Object.values(next), old.long]) await untilStatus(key, 200);
    expect(await status(old.none)).toBe(401);
    // judged by the clock around each call, so that it does not matter how long the restart took
    for (let over = false; !over;) {
      const sentMs = Date.now();
      const answer = await status(old.short);
      if (Date.now() < endsMs) expect(answer).toBe(200);
      over = sentMs >= endsMs;
      if (over) expect(answer).toBe(401);
      await new Promise((resolve) => void setTimeout(resolve, 50));
    }
    await untilCaughtUp();
    expect({ long: readRecord('long'), none: readRecord('none') }).toEqual(before);
    await untilHolds(() => expect(readRecord('short').credentials.map(({ state }) => state)).toEqual(['Active']));
    for (const name of ['long', 'short', 'none'] as const) expect(await delivered(name)).toBe(next[name]);
  });

  it('redactAfter takes the plaintext out, for good also over a restart, until the next rotation', async () => {
    write('redacted', '{}');
    const first = await gateway.key('redacted');
    write('redacted', '{ delivery: { redactAfter: 1s } }');
    await untilHolds(async () => expect(await delivered('redacted')).toBe(''));
    expect(await status(first)).toBe(200);

    await gateway.halt();
    write('redacted', '{}');
    await gateway.start();
    await untilStatus(first, 200);
    await untilCaughtUp();
    expect(await delivered('redacted')).toBe('');
    expect(readRecord('redacted').credentials).toMatchObject([{ hash: sha256Hex(first), state: 'Active' }]);

    write('redacted', '{ rotation: { trigger: "1", overlap: 0s } }');
    const second = await untilAnother('redacted', first);
    expect(await status(second)).toBe(200);
    await untilStatus(first, 401);
  });

  it('refuses a hash that was taken out, also when it is written again while nothing runs', async () => {
    const [kept, taken] = ['sk-kept-0123456789-abcdefghij', 'sk-taken-0123456789-abcdefghij'];
    const hashes = (...keys: string[]): string =>
      `{ credential: { hashes: [${keys.map((key) => `{ hash: "sha256:${sha256Hex(key)}" }`).join()}] } }`;
    write('brought', hashes(kept, taken));
    for (const key of [kept, taken]) await untilStatus(key, 200);
    write('brought', hashes(kept));
    await untilStatus(taken, 401);

    await gateway.halt();
    write('brought', hashes(kept, taken));
    // nor may another key have it
    write('thief', hashes(taken));
    await gateway.start();
    await untilStatus(kept, 200);
    await untilCaughtUp();
    expect(await status(taken)).toBe(401);
    expect(await status(kept)).toBe(200);
  });
});
