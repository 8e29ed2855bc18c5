import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { toPlainConfig, toServiceAccount } from './plain-config.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywright-config-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function kubeconfig(cluster: object, user: object): unknown {
  return {
    clusters: [{ name: 'other' }, { name: 'c', cluster: { server: 'https://api.example:6443/path/', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'any' } }],
    'current-context': 'x',
  };
}

const encode = (text: string): string => Buffer.from(text).toString('base64');

it('reads values and files of the current context, files anew each time', async () => {
  writeFileSync(join(directory, 'token'), 'first\n');
  writeFileSync(join(directory, 'key'), 'KEY');
  const cluster = { 'certificate-authority-data': encode('CA'), 'certificate-authority': '/not/read', 'tls-server-name': 'name' };
  const user = { tokenFile: 'token', token: 'not this', 'client-certificate-data': encode('CERT'), 'client-key': 'key' };
  const config = toPlainConfig(kubeconfig(cluster, user), directory);
  const connection = await config?.();
  expect(connection).toMatchObject({ origin: 'https://api.example:6443', basePath: '/path' });
  expect(connection?.tls).toEqual({ ca: 'CA', cert: 'CERT', key: 'KEY', servername: 'name' });
  expect(connection?.authorization?.reveal()).toBe('Bearer first');
  writeFileSync(join(directory, 'token'), 'second');
  expect((await config?.())?.authorization?.reveal()).toBe('Bearer second');
});

it.each([
  [{}, { exec: { command: 'x' } }],
  [{}, { 'auth-provider': { name: 'oidc' } }],
  [{}, { username: 'a', password: 'b' }],
  [{}, { token: 't', as: 'somebody' }],
  [{ 'proxy-url': 'http://proxy' }, { token: 't' }],
  [{ server: 'no address' }, { token: 't' }],
])('leaves what needs more to others: %j %j', (cluster, user) => {
  expect(toPlainConfig(kubeconfig(cluster, user), directory)).toBeUndefined();
});

it('gives nothing for what is no kubeconfig', () => {
  for (const document of [undefined, {}, [], 'text', { 'current-context': 'x' }])
    expect(toPlainConfig(document, directory)).toBeUndefined();
});

it('reads the service account of the pod', async () => {
  writeFileSync(join(directory, 'ca.crt'), 'CA');
  writeFileSync(join(directory, 'token'), 'token\n');
  const connection = await toServiceAccount('fd00::1', '443', directory)();
  expect(connection).toMatchObject({ origin: 'https://[fd00::1]:443', basePath: '', tls: { ca: 'CA' } });
  expect(connection.authorization?.reveal()).toBe('Bearer token');
  rmSync(join(directory, 'token'));
  await expect(toServiceAccount('10.0.0.1', '443', directory)()).rejects.toThrow(/ENOENT/);
});
