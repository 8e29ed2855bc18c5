import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runRevoke } from '../../cli/revoke.ts';
import { tagOf } from '../../core/hash-tag.ts';
import { revocationsKey } from '../../core/revocation.ts';
import { runRedisCommand, startRedis, type TestRedis } from '../support/redis.ts';

let redis: TestRedis;
let url: string;

beforeAll(async () => {
  redis = await startRedis();
  url = await makeUser('break-glass');
});
afterAll(async () => {
  await redis.cli('ACL', 'DELUSER', 'break-glass');
  await redis.stop();
});

/** The user as the documentation makes it, word by word. */
async function makeUser(name: string): Promise<string> {
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'revocation.md'), 'utf8');
  const rule = new RegExp(`^ACL SETUSER (${name} .*)$`, 'm').exec(page)?.[1];
  if (rule === undefined) throw new Error(`docs/revocation.md shows no ACL user ${name}`);
  const password = `${name}-password`;
  await redis.cli('ACL', 'SETUSER', ...rule.replace('PASSWORD', password).split(' '));
  const parsed = new URL(redis.url);
  parsed.username = name;
  parsed.password = password;
  return parsed.href;
}

async function revoke(keyId: string): Promise<{ code: number; printed: string[]; complaints: string[] }> {
  const printed: string[] = [];
  const complaints: string[] = [];
  const output = {
    print: (line: string) => void printed.push(line),
    complain: (line: string) => void complaints.push(line),
    ask: async () => undefined,
  };
  const code = await runRevoke([keyId, '--break-glass', '--yes'], { KEYWRIGHT_REDIS_URL: url }, output);
  return { code, printed, complaints };
}

describe('the Redis user for break-glass', () => {
  it('may revoke any key, and each use leaves a line for the audit', async () => {
    const { code, printed } = await revoke('team/app');
    expect(code).toBe(0);
    expect(await redis.cli('HGETALL', revocationsKey(tagOf('team/app')))).toEqual(['team/app *', '0 Revoked']);
    expect(JSON.parse(printed[0] ?? '')).toMatchObject({ audit: true, type: 'KeyRevoked', key: 'team/app', source: 'break-glass' });
    expect((await revoke('team/app')).code).toBe(0);
  });

  it.each([
    ['GET', 'kw:{00}:probe'],
    ['SET', 'kw:{00}:revocations', 'x'],
    ['DEL', 'kw:{00}:revocations'],
    ['HSET', 'kw:{00}:minute:team/app:rpm', 'h', '0'],
    ['FLUSHALL'],
    ['KEYS', '*'],
    ['CONFIG', 'GET', '*'],
    ['SUBSCRIBE', 'kw:revocations'],
    ['PUBLISH', 'elsewhere', 'x'],
    ['EVAL', "return redis.call('GET', KEYS[1])", '1', 'kw:{00}:probe'],
  ])('may do nothing else: %s %s', async (...command) => {
    await expect(runRedisCommand(url, command)).rejects.toThrow(/NOPERM|ACL/);
  });
});
