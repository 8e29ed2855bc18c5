import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeCertificate } from '../test/support/certificate.ts';
import { hide } from './environment.ts';
import { findRedisMistakes, followAuthorities } from './redis-settings.ts';

let directory: string;
let file: string;
const garbled = '-----BEGIN CERTIFICATE-----\nhidden\n-----END CERTIFICATE-----\n';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keywright-redis-settings-'));
  file = join(directory, 'ca.crt');
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('findRedisMistakes', () => {
  it('finds nothing wrong with what fits together', async () => {
    writeFileSync(file, (await makeCertificate('redis')).certificate);
    expect(findRedisMistakes({})).toEqual([]);
    expect(findRedisMistakes({ redisUrl: hide('rediss://h'), redisCaFile: file })).toEqual([]);
    const sentinel = { redisSentinelUsername: 'me', redisSentinelPassword: hide('pw') };
    expect(findRedisMistakes({ redisUrl: hide('redis+sentinel://h/m'), ...sentinel })).toEqual([]);
  });

  it('tells every mistake, each with its setting, and quotes nothing secret', () => {
    const mistakes = findRedisMistakes({ redisUrl: hide('redis+sentinel://:hidden%z@h'), redisCaFile: join(directory, 'absent') });
    expect(mistakes).toEqual([
      expect.stringMatching(/^KEYWRIGHT_REDIS_URL has a user or password whose %-escapes are wrong/),
      expect.stringMatching(/^KEYWRIGHT_REDIS_URL must have the name that the Sentinels give the master/),
      'KEYWRIGHT_REDIS_CA_FILE names a file that cannot be read (ENOENT)',
    ]);
    expect(mistakes.join()).not.toContain('hidden');
  });

  it.each(['', 'no certificate', garbled])('refuses a file of authorities that holds %j', (content) => {
    writeFileSync(file, content);
    expect(findRedisMistakes({ redisUrl: hide('rediss://h'), redisCaFile: file })).toEqual([
      'KEYWRIGHT_REDIS_CA_FILE must name a file with certificates in PEM',
    ]);
  });

  it('refuses settings that would do nothing', async () => {
    writeFileSync(file, (await makeCertificate('redis')).certificate);
    expect(findRedisMistakes({ redisUrl: hide('redis://h'), redisCaFile: file, redisSentinelUsername: 'me' })).toEqual([
      'KEYWRIGHT_REDIS_CA_FILE is for TLS: KEYWRIGHT_REDIS_URL must begin with rediss',
      'KEYWRIGHT_REDIS_SENTINEL_USERNAME and KEYWRIGHT_REDIS_SENTINEL_PASSWORD are for redis+sentinel:// and rediss+sentinel:// alone',
      'KEYWRIGHT_REDIS_SENTINEL_USERNAME needs KEYWRIGHT_REDIS_SENTINEL_PASSWORD',
    ]);
    expect(findRedisMistakes({ redisCaFile: file })).toHaveLength(1);
  });
});

describe('followAuthorities', () => {
  it('reads anew, keeps what it had while the file cannot be read, and trusts nobody without any', async () => {
    const [first, second] = [(await makeCertificate('one')).certificate, (await makeCertificate('two')).certificate];
    const read = followAuthorities(file);
    expect(read()).toBe('no authority');
    writeFileSync(file, first);
    expect(read()).toBe(first);
    writeFileSync(file, garbled);
    expect(read()).toBe(first);
    writeFileSync(file, second);
    expect(read()).toBe(second);
    expect(followAuthorities(undefined)()).toBeUndefined();
  });
});
