import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseSettings } from '../runtime/environment.ts';
import { dataPlaneSettings, findMistakes, proxySettings, toServerSettings } from './config.ts';
import { readConfiguration } from './main.ts';

function parse(environment: Record<string, string>) {
  const parsed = parseSettings(dataPlaneSettings, environment);
  if (!parsed.ok) throw new Error(parsed.mistakes.join());
  return { settings: toServerSettings(parsed.settings), mistakes: findMistakes(parsed.settings) };
}

describe('settings', () => {
  it('have defaults that serve', () => {
    const { settings, mistakes } = parse({});
    expect(mistakes).toEqual([]);
    expect(settings).toMatchObject({
      listen: { host: '0.0.0.0', port: 8080 },
      maxBodyBytes: 33_554_432,
      drainMs: 600_000,
      trustedProxies: [],
    });
    expect(settings.maxBufferedBytes).toBeGreaterThan(1 << 20);
    expect(settings.tls).toBeUndefined();
  });

  it('complain about addresses and TLS files', () => {
    expect(parse({ KEYWRIGHT_TRUSTED_PROXIES: '10.0.0.0/8,nonsense', KEYWRIGHT_TLS_CERT: '/a' }).mistakes).toEqual([
      'KEYWRIGHT_TRUSTED_PROXIES must hold addresses and CIDRs, not "nonsense"',
      'KEYWRIGHT_TLS_CERT and KEYWRIGHT_TLS_KEY are given together or not at all',
    ]);
    expect(parse({ KEYWRIGHT_TLS_CERT: '/does/not/exist', KEYWRIGHT_TLS_KEY: '/does/not/exist' }).mistakes).toEqual([
      'KEYWRIGHT_TLS_CERT or KEYWRIGHT_TLS_KEY names a file that cannot be read (ENOENT)',
    ]);
  });

  it('complain about a TLS file that holds something else, without its content', () => {
    const file = fileURLToPath(import.meta.url);
    expect(parse({ KEYWRIGHT_TLS_CERT: file, KEYWRIGHT_TLS_KEY: file }).mistakes).toEqual([
      'KEYWRIGHT_TLS_CERT and KEYWRIGHT_TLS_KEY must be a certificate and its private key (PEM)',
    ]);
  });

  it('price what nobody has priced, where they say so', () => {
    expect(parse({}).settings.unpriced).toEqual({ models: 'Deny', price: undefined });
    const { settings, mistakes } = parse({ KEYWRIGHT_UNPRICED_MODELS: 'Price', KEYWRIGHT_UNPRICED_PRICE: 'input=5, output=25' });
    expect(mistakes).toEqual([]);
    expect(settings.unpriced).toMatchObject({ models: 'Price', price: { rates: { input: { nanoUsd: 5e9 }, output: { nanoUsd: 25e9 } } } });
    expect(parse({ KEYWRIGHT_UNPRICED_MODELS: 'Price' }).mistakes).toEqual([
      'KEYWRIGHT_UNPRICED_PRICE must price at least input and output, for example input=5,output=25',
    ]);
    expect(parse({ KEYWRIGHT_UNPRICED_PRICE: 'input=5' }).mistakes).toEqual([
      'KEYWRIGHT_UNPRICED_PRICE counts only with KEYWRIGHT_UNPRICED_MODELS=Price',
    ]);
  });

  it('keep the Redis URL hidden', () => {
    const parsed = parseSettings(proxySettings, { KEYWRIGHT_REDIS_URL: 'redis://user:password@host' });
    expect(parsed.ok && JSON.stringify(parsed.settings)).not.toContain('password');
    const wrong = readConfiguration({ KEYWRIGHT_REDIS_URL: 'http://user:password@host' });
    const mistakes = 'mistakes' in wrong ? wrong.mistakes.filter((mistake) => mistake.startsWith('KEYWRIGHT_REDIS_URL must be')) : [];
    expect(mistakes).toHaveLength(1);
    expect(JSON.stringify(wrong)).not.toContain('user:password@host');
  });
});

describe('readConfiguration', () => {
  it('tells all mistakes at once', () => {
    const environment = {
      KEYWRIGHT_MAX_IN_FLIGHT: 'x',
      KEYWRIGHT_TRUSTED_PROXIES: 'a',
      KUBECONFIG: '/does/not/exist',
      KEYWRIGHT_SEAL_KEY_FILE: '/nor/this',
    };
    expect(readConfiguration(environment)).toEqual({
      mistakes: [
        'KEYWRIGHT_MAX_IN_FLIGHT must be a whole number, not "x"',
        'KEYWRIGHT_TRUSTED_PROXIES must hold addresses and CIDRs, not "a"',
        expect.stringContaining('KEYWRIGHT_REDIS_URL is required'),
        'kubeconfig /does/not/exist does not exist',
        'KEYWRIGHT_SEAL_KEY_FILE names a file that cannot be read (ENOENT)',
      ],
    });
  });

  it('takes no Redis only where one proxy is said to be all', () => {
    const mistakes = (environment: Record<string, string>) => {
      const configuration = readConfiguration({ KUBECONFIG: '/does/not/exist', ...environment });
      return 'mistakes' in configuration ? configuration.mistakes : [];
    };
    expect(mistakes({ KEYWRIGHT_REPLICAS: '1' })).toHaveLength(1);
    expect(mistakes({ KEYWRIGHT_REPLICAS: '2' })).toHaveLength(2);
    expect(mistakes({ KEYWRIGHT_REDIS_URL: 'redis://host' })).toHaveLength(1);
  });
});
