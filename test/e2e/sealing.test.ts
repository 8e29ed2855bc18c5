import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeSealKey } from '../fake/seal.ts';
import { untilHolds } from '../support/eventually.ts';
import { spawnKeywright } from '../support/process.ts';
import {
  channelManifests,
  type Installation,
  metric,
  providerSecret,
  type RunningProcess,
  startInstallation,
  untilReady,
  untilStatus,
  virtualKey,
} from './installation.ts';

/** Looked at every five seconds by the processes; written at most twice a step. */
const withinMs = 60_000;
const [first, second] = [makeSealKey(), makeSealKey()];
let installation: Installation;
let operatorFile: string;
let proxyFile: string;
let key: string;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 0 });
  operatorFile = join(installation.directory, 'operator-keys');
  proxyFile = join(installation.directory, 'proxy-keys');
  await installation.apply(channelManifests(installation.provider));
  await installation.apply(virtualKey('app'));
  key = await installation.deliveredKey('app');
}, 180_000);
afterAll(async () => {
  await installation?.stop();
});

const write = (path: string, ...lines: string[]): void => writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 });

/** How many of our own Secrets are stored with these first bytes: `plain`, or the id of their seal key. */
async function seals(): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const namespace of ['keywright-system', 'keywright-snapshot']) {
    const list = JSON.parse(await installation.kubectl('get', 'secrets', '-n', namespace, '-o', 'json')) as {
      items: { type: string; data?: Record<string, string> }[];
    };
    for (const { type, data = {} } of list.items) {
      if (!type.startsWith('keywright.dev/')) continue;
      for (const value of Object.values(data)) {
        const bytes = Buffer.from(value, 'base64');
        found.add(bytes.toString('latin1', 0, 4) === 'KWS1' ? bytes.toString('hex', 4, 12) : 'plain');
      }
    }
  }
  return found;
}

async function untilSealedAlike(different: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  let found: ReadonlySet<string> = new Set();
  await untilHolds(
    async () => {
      found = await seals();
      expect(found.size).toBe(1);
      expect(found).not.toEqual(different);
    },
    { withinMs, everyMs: 500 },
  );
  await untilHolds(async () => expect(await metric(installation.operator, 'keywright_seal_stale_secrets')).toEqual([0]), { withinMs });
  return found;
}

/** Asks without a pause that the key is let in, until it is told to stop; gives every answer that was not 200. */
function askAlways(proxy: RunningProcess): () => Promise<readonly number[]> {
  const others: number[] = [];
  let going = true;
  const asking = (async () => {
    while (going) {
      const answer = await fetch(`${proxy.address}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
      await answer.arrayBuffer();
      if (answer.status !== 200) others.push(answer.status);
    }
  })();
  return async () => {
    going = false;
    await asking;
    return others;
  };
}

it('is switched on, gets another key, and is switched off, without a gap for the keys', async () => {
  expect(await seals()).toEqual(new Set(['plain']));
  write(proxyFile, 'plain', first);
  write(operatorFile, 'plain', first);
  const proxy = await installation.startProxy({ KEYWRIGHT_SEAL_KEY_FILE: proxyFile });
  await untilReady(proxy);
  const stopAsking = askAlways(proxy);
  await installation.operator.process.stop();
  installation.operator = await installation.startOperator({ KEYWRIGHT_SEAL_KEY_FILE: operatorFile });
  await untilHolds(async () => expect(await metric(installation.operator, 'keywright_leader')).toEqual([1]), { withinMs });

  write(operatorFile, first, 'plain');
  const withFirst = await untilSealedAlike(new Set(['plain']));
  write(operatorFile, first);
  write(proxyFile, first, second);

  await installation.apply(virtualKey('while-sealed'));
  const other = await installation.deliveredKey('while-sealed');
  await untilStatus(proxy, other, 200);
  const dump = await installation.controlPlane.etcdDump();
  expect(dump.includes('KWS1')).toBe(true);

  // a proxy without the key says why it is not ready, and one that has it all over sudden need not be started anew
  const lateFile = join(installation.directory, 'late-keys');
  write(lateFile, second);
  const late = await installation.startProxy({ KEYWRIGHT_SEAL_KEY_FILE: lateFile });
  await untilHolds(async () => {
    const answer = await fetch(`${late.admin}/readyz`);
    expect(answer.status).toBe(503);
    expect(await answer.text()).toMatch(/it is sealed with key [0-9a-f]{16}, which is not in KEYWRIGHT_SEAL_KEY_FILE/);
  });
  expect((await metric(late, 'keywright_snapshot_locked'))[0]).toBeGreaterThan(0);
  write(lateFile, second, first);
  await untilReady(late);
  await late.process.stop();

  write(operatorFile, second, first);
  await untilSealedAlike(withFirst);
  write(operatorFile, 'plain', second);
  write(proxyFile, 'plain', second);
  await untilHolds(async () => expect(await seals()).toEqual(new Set(['plain'])), { withinMs, everyMs: 500 });

  await untilStatus(proxy, key, 200);
  await untilStatus(proxy, other, 200);
  expect(await stopAsking()).toEqual([]);
  await proxy.process.stop();
  for (const secret of [first, second, providerSecret]) expect(installation.logs()).not.toContain(secret.slice(0, 20));
}, 240_000);

it('keeps an operator without the key from leading and writing, and it says why', async () => {
  write(operatorFile, first, 'plain');
  await untilHolds(async () => expect((await seals()).has('plain')).toBe(false), { withinMs, everyMs: 500 });
  await installation.operator.process.stop();
  const before = await installation.controlPlane.etcdDump();
  installation.operator = await installation.startOperator();
  await untilHolds(async () => {
    const answer = await fetch(`${installation.operator.admin}/readyz`);
    expect(answer.status).toBe(503);
    expect(await answer.text()).toMatch(/Secret keywright-system\/vk-.* cannot be opened, as 1 more: .*KEYWRIGHT_SEAL_KEY_FILE is not set/);
    expect(await metric(installation.operator, 'keywright_leader')).toEqual([0]);
  });
  const written = (await installation.controlPlane.etcdEntries()).filter(
    ({ key: name, value }) => /keywright/.test(name) && !name.includes('/leases/') && !before.includes(value),
  );
  expect(written.map(({ key: name }) => name)).toEqual([]);
}, 180_000);

it('tells mistakes in the key file with all the others and ends with 64', async () => {
  write(operatorFile, first.slice(0, 20), 'nonsense!');
  const keywright = spawnKeywright(['operator'], { KEYWRIGHT_SEAL_KEY_FILE: operatorFile, KEYWRIGHT_KEY_PREFIX: 'SK' });
  expect(await keywright.child.ended).toBe(64);
  expect(keywright.output()).toMatch(
    /KEYWRIGHT_PUBLIC_URL[\s\S]*KEYWRIGHT_SEAL_KEY_FILE: line 1 must be 32 bytes[\s\S]*line 2 is neither base64/,
  );
  expect(keywright.output()).not.toContain(first.slice(0, 20));
});
