import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findKubeConfigMistakes } from './kubeconfig-mistakes.ts';

const directory = mkdtempSync(join(tmpdir(), 'keywright-kubeconfig-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const secret = 'sekrit-token-0123456789';
let files = 0;

function write(text: string): string {
  const file = join(directory, `config-${(files += 1)}`);
  writeFileSync(file, text);
  return file;
}

const config = (changes: Record<string, unknown> = {}): object => ({
  'current-context': 'main',
  contexts: [{ name: 'main', context: { cluster: 'here', user: 'me' } }],
  clusters: [{ name: 'here', cluster: { server: 'https://127.0.0.1:6443' } }],
  users: [{ name: 'me', user: { token: secret } }],
  ...changes,
});

async function told(text: string): Promise<string[]> {
  const file = write(text);
  const mistakes = await findKubeConfigMistakes({ KUBECONFIG: file });
  expect(mistakes.join()).not.toContain('sekrit');
  return mistakes.map((mistake) => mistake.replaceAll(file, 'FILE').replaceAll(directory, 'DIR'));
}

describe('a kubeconfig', () => {
  it('that leads to an API server has no mistake, whatever plugin gives the credentials', async () => {
    expect(await told(JSON.stringify(config()))).toEqual([]);
    expect(await told(JSON.stringify(config({ users: [{ name: 'me', user: { exec: { command: 'aws' } } }] })))).toEqual([]);
    expect(
      await told(
        'current-context: a\ncontexts: [{ name: a, context: { cluster: c } }]\nclusters: [{ name: c, cluster: { server: "http://localhost" } }]\n',
      ),
    ).toEqual([]);
  });

  it.each([
    ['no YAML', `users: [\n  token: ${secret}\n`, 'kubeconfig FILE is not valid YAML or JSON'],
    ['no JSON', `{ "token": "${secret}", `, 'kubeconfig FILE is not valid YAML or JSON'],
    ['a mere text', secret, 'kubeconfig FILE is not a mapping'],
    ['nothing', '', 'kubeconfig FILE is not a mapping'],
    [
      'no context',
      JSON.stringify(config({ 'current-context': undefined })),
      'kubeconfig FILE has no current-context, or none of that name',
    ],
    [
      'another context',
      JSON.stringify(config({ 'current-context': secret })),
      'kubeconfig FILE has no current-context, or none of that name',
    ],
    ['no cluster', JSON.stringify(config({ clusters: [] })), 'kubeconfig FILE: the cluster of its current-context is missing'],
    ['no user', JSON.stringify(config({ users: [] })), 'kubeconfig FILE: the user of its current-context is missing'],
    [
      'no server',
      JSON.stringify(config({ clusters: [{ name: 'here', cluster: { server: secret } }] })),
      'kubeconfig FILE: the server of its current-context is not a URL',
    ],
    [
      'a file that is not there',
      JSON.stringify(config({ users: [{ name: 'me', user: { tokenFile: 'none' } }] })),
      'kubeconfig FILE: its tokenFile DIR/none cannot be read (ENOENT)',
    ],
  ])('with %s is told as a mistake that holds nothing of it', async (_what, text, mistake) => {
    expect(await told(text)).toEqual([mistake]);
  });

  it('that is one of several may stand in any of them, and each that is missing is named', async () => {
    const [first, second] = [write(JSON.stringify(config({ clusters: [] }))), write(JSON.stringify(config({ users: [] })))];
    expect(await findKubeConfigMistakes({ KUBECONFIG: `${first}:${second}` })).toEqual([]);
    expect(await findKubeConfigMistakes({ KUBECONFIG: `${first}:/no/such:${directory}` })).toEqual([
      'kubeconfig /no/such does not exist',
      `kubeconfig ${directory} cannot be read (EISDIR)`,
    ]);
  });

  it('is not looked for in a pod, and must be somewhere else', async () => {
    expect(await findKubeConfigMistakes({ HOME: '/no/such', KUBERNETES_SERVICE_HOST: '10.0.0.1' })).toEqual([]);
    expect(await findKubeConfigMistakes({ KUBECONFIG: '/no/such', KUBERNETES_SERVICE_HOST: '10.0.0.1' })).toEqual([
      'kubeconfig /no/such does not exist',
    ]);
    expect(await findKubeConfigMistakes({ HOME: directory })).toEqual([
      `no API server to work with: not in a pod, KUBECONFIG is not set, and ${directory}/.kube/config does not exist`,
    ]);
  });
});
