import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { readConfiguration } from './configuration.ts';

it('tells what is wrong with the command line, the settings and the folder at once', () => {
  const configuration = readConfiguration(['--manifests', '/no/such/folder', '--bogus', '--listen', 'x'], {
    KEYWRIGHT_REPLICAS: '0',
    KEYWRIGHT_TRUSTED_PROXIES: '10.0.0.0/8 proxy',
    KEYWRIGHT_CORS_ORIGINS: 'https://app.example.com, https://app.example.com/path, app, *',
    KEYWRIGHT_TLS_CERT: '/no/such/file',
    KEYWRIGHT_KEY_PREFIX: 'no end',
    KEYWRIGHT_PUBLIC_URL: 'https://gateway.example.com/v1',
    KEYWRIGHT_REDIS_URL: 'redis://localhost/notANumber',
  });
  const mistakes = 'mistakes' in configuration ? configuration.mistakes : [];
  expect(mistakes.map((mistake) => mistake.split(/[ :]/, 1)[0])).toEqual([
    'unknown',
    'KEYWRIGHT_LISTEN',
    'KEYWRIGHT_REPLICAS',
    'KEYWRIGHT_TRUSTED_PROXIES',
    'KEYWRIGHT_CORS_ORIGINS',
    'KEYWRIGHT_CORS_ORIGINS',
    'KEYWRIGHT_TLS_CERT',
    'KEYWRIGHT_KEY_PREFIX',
    'KEYWRIGHT_PUBLIC_URL',
    'KEYWRIGHT_REDIS_URL',
    '--manifests',
    'usage',
  ]);
});

it('lets flags win over settings', () => {
  const configuration = readConfiguration(['--manifests', tmpdir(), '--listen', '127.0.0.1:1'], { KEYWRIGHT_LISTEN: 'nonsense' });
  expect(configuration).toMatchObject({ settings: { listen: { host: '127.0.0.1', port: 1 } }, server: { listen: { port: 1 } } });
});
