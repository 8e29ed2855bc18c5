import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runRevoke } from '../../cli/revoke.ts';
import { tagOf } from '../../core/hash-tag.ts';
import { revocationsKey } from '../../core/revocation.ts';
import { followHeartbeats } from '../../operator/revocation/heartbeats.ts';
import { makeRedisLastUsed } from '../../operator/credentials/last-used.ts';
import { makeRedisBoard } from '../../operator/revocation/revocation-board.ts';
import { systemClock } from '../../runtime/clock.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { makeRedisLink } from '../../runtime/redis-link.ts';
import { eventually } from '../support/eventually.ts';
import { runRedisCommand, startRedis, type TestRedis } from '../support/redis.ts';

let redis: TestRedis;
let url: string;
let operatorUrl: string;

beforeAll(async () => {
  redis = await startRedis();
  [url, operatorUrl] = [await makeUser('break-glass'), await makeUser('operator')];
});
afterAll(async () => {
  await redis.cli('ACL', 'DELUSER', 'break-glass', 'operator');
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

describe('the Redis user for the operator', () => {
  it('has the rights that the operator needs', async () => {
    const log = makeLog({ level: 'silent', name: 'test' });
    const metrics = makeMetrics();
    const link = makeRedisLink({ url: hide(operatorUrl), name: 'test', random: Math.random, log });
    const board = makeRedisBoard(link);
    const heartbeats = followHeartbeats({ link, clock: systemClock, log, metrics });
    const lastUsed = makeRedisLastUsed(link);
    let reads = 0;
    heartbeats.onChange(() => void (reads += 1));
    try {
      await eventually(() => link.connected && reads > 0);
      const revocation = { keyId: 'team/other', uid: 'one', gen: 1, state: 'Suspended', ended: [] } as const;
      await board.write(revocation);
      expect(await board.read()).toContainEqual(revocation);
      expect(await board.remove(revocation)).toBe(true);
      const used = [{ keyId: 'team/other', credentialId: 'aaaaaaaaaaaa' }];
      expect(await lastUsed.read(used)).toEqual([undefined]);
      await lastUsed.forget(used);
    } finally {
      heartbeats.stop();
      metrics.close();
      await link.close();
    }
  });
});
