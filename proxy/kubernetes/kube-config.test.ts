import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findKubeConfig, type KubeConnection, parseKubeConfig } from './kube-config.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywright-kube-config-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const data = Buffer.from(pem).toString('base64');

function kubeconfig({ cluster = '', user = '', context = 'dev' } = {}): string {
  return `apiVersion: v1
kind: Config
current-context: ${context}
contexts:
- { name: dev, context: { cluster: c, user: u } }
clusters:
- { name: c, cluster: { server: 'https://api.example.com:6443/k8s/', ${cluster} } }
users:
- { name: other, user: { token: not-mine } }
- { name: u, user: { ${user} } }
`;
}

function connect(parts: { cluster?: string; user?: string }): KubeConnection {
  const parsed = parseKubeConfig(kubeconfig(parts), join(directory, 'config'));
  if (!parsed.ok) throw new Error(parsed.mistake);
  return parsed.connection;
}

function mistake(text: string): string {
  const parsed = parseKubeConfig(text, join(directory, 'config'));
  if (parsed.ok) throw new Error('accepted');
  return parsed.mistake;
}

describe('a kubeconfig', () => {
  it('gives server, token and CA of the current context', () => {
    const connection = connect({
      user: 'token: s3cret-token',
      cluster: `certificate-authority-data: ${data}, tls-server-name: kubernetes`,
    });
    expect(connection.server).toBe('https://api.example.com:6443/k8s');
    expect(connection.token()?.reveal()).toBe('s3cret-token');
    expect(connection.tls()).toEqual({ ca: pem, serverName: 'kubernetes', verify: true });
    expect(inspect(connection, { depth: 5 })).not.toContain('s3cret-token');
  });

  it('reads a token file again each time, relative to itself, and lets it win over the token', () => {
    writeFileSync(join(directory, 'token'), 'first\n');
    const connection = connect({ user: 'tokenFile: token, token: old' });
    expect(connection.token()?.reveal()).toBe('first');
    writeFileSync(join(directory, 'token'), 'second\n');
    expect(connection.token()?.reveal()).toBe('second');
    writeFileSync(join(directory, 'token'), '');
    expect(() => connection.token()).toThrow(/token is empty/);
  });

  it('takes client certificates from files and from data', () => {
    writeFileSync(join(directory, 'tls.crt'), pem);
    writeFileSync(join(directory, 'tls.key'), `${pem}key`);
    const files = connect({ user: 'client-certificate: tls.crt, client-key: tls.key' }).tls();
    expect([files.certificate, files.privateKey?.reveal()]).toEqual([pem, `${pem}key`]);
    const inline = connect({ user: `client-certificate-data: ${data}, client-key-data: ${data}` }).tls();
    expect([inline.certificate, inline.privateKey?.reveal()]).toEqual([pem, pem]);
  });

  it('leaves verification out only where told', () => {
    expect(connect({}).tls()).toEqual({ verify: true });
    expect(connect({ cluster: 'insecure-skip-tls-verify: true' }).tls()).toEqual({ verify: false });
  });

  it.each([
    [kubeconfig({ context: 'prod' }), /contexts has no entry "prod"/],
    [kubeconfig({ context: '' }), /no current-context/],
    [kubeconfig({ user: 'exec: { command: aws }' }), /user "u": exec: exec plugins are not supported/],
    [kubeconfig({ user: 'auth-provider: { name: gcp }' }), /auth-provider plugins are not supported/],
    [kubeconfig({ user: 'username: root, password: s3cret' }), /basic authentication is not supported/],
    [kubeconfig({ user: 'as: admin' }), /impersonation is not supported/],
    [kubeconfig({ user: 'tokenFile: /nowhere/token' }), /\/nowhere\/token cannot be read \(ENOENT\)/],
    [kubeconfig({ user: `client-certificate-data: ${data}` }), /belong together/],
    [kubeconfig({ user: 'client-key-data: s3cret, client-certificate-data: s3cret' }), /client-key-data is not a PEM/],
    [kubeconfig({ user: 'token: [s3cret]' }), /token is not a text/],
    [kubeconfig({ user: 'token: "s3cret\\nx"' }), /token holds characters/],
    [kubeconfig({ cluster: 'proxy-url: http://u:s3cret@proxy' }), /proxy-url: a proxy .* is not supported/],
    [kubeconfig({ cluster: 'insecure-skip-tls-verify: "yes"' }), /not true or false/],
    [kubeconfig().replace('https://api', 'https://u:s3cret@api'), /server is not an http or https URL/],
    [kubeconfig().replace(/server: '[^']*'/, 'x: 1'), /server is missing/],
    ['- s3cret', /not a mapping|no current-context/],
    ['users: [{ token: s3cret', /line 1: not valid YAML/],
    ['current-context: *s3cret', /not valid YAML|no current-context/],
  ])('%s is refused', (text, words) => {
    expect(mistake(text)).toMatch(words);
    expect(mistake(text)).not.toContain('s3cret');
  });

  it('tells all mistakes at once', () => {
    expect(mistake(kubeconfig({ user: 'exec: {}, as: x', cluster: 'proxy-url: x' }))).toMatch(/proxy-url.*exec.*as/);
  });
});

describe('finding it', () => {
  it('takes KUBECONFIG before the service account, and only one file', () => {
    const file = join(directory, 'config');
    writeFileSync(file, kubeconfig({ user: 'token: t' }));
    expect(findKubeConfig({ KUBECONFIG: file, KUBERNETES_SERVICE_HOST: '10.0.0.1' })).toMatchObject({
      ok: true,
      connection: { server: 'https://api.example.com:6443/k8s' },
    });
    expect(findKubeConfig({ KUBECONFIG: `${file}:${file}` })).toMatchObject({
      ok: false,
      mistake: expect.stringContaining('several files'),
    });
    expect(findKubeConfig({ KUBECONFIG: join(directory, 'none') })).toMatchObject({
      ok: false,
      mistake: expect.stringContaining('does not exist'),
    });
    expect(findKubeConfig({ KUBECONFIG: directory })).toMatchObject({ ok: false, mistake: expect.stringContaining('EISDIR') });
  });

  it('takes the service account of a pod and reads its token again', () => {
    const environment = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' };
    expect(findKubeConfig(environment, directory)).toMatchObject({
      ok: false,
      mistake: expect.stringMatching(/service account.*token cannot be read \(ENOENT\)/),
    });
    writeFileSync(join(directory, 'token'), 'pod-token');
    writeFileSync(join(directory, 'ca.crt'), pem);
    const found = findKubeConfig(environment, directory);
    if (!found.ok) throw new Error(found.mistake);
    expect(found.connection.server).toBe('https://[fd00::1]:6443');
    expect(found.connection.tls()).toEqual({ ca: pem, verify: true });
    writeFileSync(join(directory, 'token'), 'renewed');
    expect(found.connection.token()?.reveal()).toBe('renewed');
  });

  it('takes the file of the home directory, and says what it looked for', () => {
    expect(findKubeConfig({ HOME: directory })).toMatchObject({
      ok: false,
      mistake: expect.stringMatching(/not in a pod, KUBECONFIG is not set, and .*\.kube\/config does not exist/),
    });
  });
});
