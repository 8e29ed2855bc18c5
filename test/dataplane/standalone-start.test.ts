import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTemporaryDirectory } from '../support/child.ts';
import { spawnKeywright } from '../support/process.ts';

let taken: Server;
let port: number;

beforeAll(async () => {
  taken = createServer();
  await new Promise<void>((resolve) => void taken.listen(0, '127.0.0.1', resolve));
  ({ port } = taken.address() as AddressInfo);
});
afterAll(() => {
  taken.close();
});

interface Start {
  readonly manifests: string;
  readonly state: string;
  readonly words: readonly string[];
}

function prepare(): Start {
  const directory = makeTemporaryDirectory('start');
  const [manifests, state] = [join(directory, 'manifests'), join(directory, 'state')];
  mkdirSync(manifests);
  writeFileSync(join(manifests, 'key.yaml'), 'apiVersion: keywright.dev/v1alpha1\nkind: VirtualKey\nmetadata: { name: app }\nspec: {}\n');
  const words = ['standalone', '--manifests', manifests, '--state', state, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  return { manifests, state, words };
}

/** Exit code and what it said that is no log line. */
async function run(words: readonly string[], settings: Record<string, string> = {}): Promise<{ code: number | null; said: string }> {
  const process = spawnKeywright(words, settings);
  const code = await process.child.ended;
  const lines = process.output().split('\n');
  return { code, said: lines.filter((line) => line !== '' && !line.startsWith('{')).join('\n') };
}

describe('a start that cannot succeed', () => {
  it.each(['--listen', '--admin', '--fake-provider'])('says which port of %s is taken, in one sentence, and ends with 1', async (flag) => {
    const { words, state } = prepare();
    const { code, said } = await run([...words, flag, `127.0.0.1:${port}`]);
    expect(said).toBe(`keywright: cannot listen on 127.0.0.1:${port}: the port is taken by another process (EADDRINUSE)`);
    expect(code).toBe(1);
    expect(existsSync(join(state, 'lock'))).toBe(false);
  });

  it('says it for the operator, too', async () => {
    const kubeconfig = join(makeTemporaryDirectory('kubeconfig'), 'config');
    const cluster = 'contexts: [{ name: a, context: { cluster: c } }]\nclusters: [{ name: c, cluster: { server: "http://127.0.0.1:1" } }]';
    writeFileSync(kubeconfig, `current-context: a\n${cluster}\n`);
    const settings = {
      KUBECONFIG: kubeconfig,
      KEYWRIGHT_PUBLIC_URL: 'https://gateway.example.com',
      KEYWRIGHT_ADMIN_LISTEN: `127.0.0.1:${port}`,
    };
    const { code, said } = await run(['operator'], settings);
    expect(said).toContain(`cannot listen on 127.0.0.1:${port}`);
    expect(said).not.toContain('    at ');
    expect(code).toBe(1);
  });

  it.each(['operator', 'proxy'])('names a kubeconfig of the %s that is not there, beside every other mistake', async (word) => {
    const { code, said } = await run([word], { KUBECONFIG: '/no/such/config', KEYWRIGHT_LOG_LEVEL: 'loud' });
    expect(said).toContain('kubeconfig /no/such/config does not exist');
    expect(said).toContain('KEYWRIGHT_LOG_LEVEL');
    expect(code).toBe(64);
  });

  it('names a manifests folder that is not there', async () => {
    const { words, manifests, state } = prepare();
    const { code, said } = await run(words.map((word) => (word === manifests ? `${manifests}-typo` : word)));
    expect(said).toContain(`--manifests must be a folder that can be read, not "${manifests}-typo" (ENOENT)`);
    expect(code).toBe(64);
    expect(existsSync(state)).toBe(false);
  });

  it('names a state folder that is none, and a state file that is damaged, without its content', async () => {
    const { words, manifests, state } = prepare();
    const file = join(manifests, 'key.yaml');
    const wrong = await run(words.map((word) => (word === state ? file : word)));
    expect([wrong.code, wrong.said]).toEqual([
      1,
      `keywright: --state must be a folder that this user may write to, not "${file}" (EEXIST)`,
    ]);

    const damaged = join(state, 'secrets', 'default', 'app-virtualkey.json');
    mkdirSync(join(state, 'secrets', 'default'), { recursive: true });
    for (const text of ['{"data":"sk-kw-plain', '[]', '']) {
      writeFileSync(damaged, text);
      const { code, said } = await run(words);
      expect([code, said]).toEqual([1, `keywright: state file ${damaged} is damaged; restore it or remove it to start that object anew`]);
      expect(readFileSync(damaged, 'utf8')).toBe(text);
    }
  });
});

describe('a start beside trouble', () => {
  it('serves while Redis is unreachable, and says so', async () => {
    const process = spawnKeywright([...prepare().words, '--redis', `redis://127.0.0.1:1`]);
    await process.waitForEvent((line) => line['event'] === 'limiter_degraded');
    await process.waitForEvent((line) => line['event'] === 'listening');
    expect(await process.stop()).toBe(0);
  });

  it.each([0, 50, 150, 400])(
    'ends with 0 and gives the state folder back when SIGTERM comes %i ms after it began to start',
    async (delayMs) => {
      const { words, state } = prepare();
      const process = spawnKeywright(words);
      // its first line is written when it already handles signals
      await process.waitForEvent((line) => line['event'] === 'limits_per_process');
      await new Promise((resolve) => void setTimeout(resolve, delayMs));
      expect(await process.stop()).toBe(0);
      expect(existsSync(join(state, 'lock'))).toBe(false);
    },
  );
});
