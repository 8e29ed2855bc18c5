import { afterEach, beforeEach, expect, it } from 'vitest';
import { tagOf } from '../../core/hash-tag.ts';
import { lastUsedKey, toLastUsedField } from '../../core/last-used.ts';
import { makeRedisLastUsed } from '../../operator/credentials/last-used.ts';
import { startLastUsed } from '../../proxy/keys/last-used.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { type FakeClock, makeFakeClock } from '../support/fake-clock.ts';
import { useRedis } from '../support/use-redis.ts';

const redis = useRedis();
let link: RedisLink;
let clock: FakeClock;
const log = makeLog({ level: 'silent', name: 'test' });
const one = { keyId: 'team/a', credentialId: 'aaaaaaaaaaaa' };
const two = { keyId: 'other/b', credentialId: 'bbbbbbbbbbbb' };

beforeEach(async () => {
  clock = makeFakeClock();
  link = makeRedisLink({ url: hide(redis.url), name: 'test', random: Math.random, log });
  await eventually(() => link.connected);
});
afterEach(() => link.close());

const stands = async (): Promise<unknown> => redis.cli('HGET', lastUsedKey(tagOf(one.keyId)), toLastUsedField(one));

it('is noted by proxies at most once a minute for each credential, the latest counts, and the operator reads and forgets it', async () => {
  const [first, second] = [startLastUsed({ link, clock, log }), startLastUsed({ link, clock, log })];
  const source = makeRedisLastUsed(link);
  expect(await source.read([one, two])).toEqual({ times: [undefined, undefined], unread: 0 });
  const startMs = clock.now();
  first.note(one);
  first.note(two);
  await first.stop();
  expect((await source.read([two, one])).times).toEqual([startMs, startMs]);
  clock.advance(30_000);
  first.note(one);
  await first.stop();
  expect(await stands()).toBe(String(startMs));
  // another proxy has its own minute; a clock that is behind takes nothing back
  second.note(one);
  await second.stop();
  expect(await stands()).toBe(String(startMs + 30_000));
  clock.advance(31_000);
  await redis.cli('HSET', lastUsedKey(tagOf(one.keyId)), toLastUsedField(one), String(startMs + 999_000));
  first.note(one);
  await first.stop();
  expect(await stands()).toBe(String(startMs + 999_000));
  expect(await redis.cli('PTTL', lastUsedKey(tagOf(one.keyId)))).toBeGreaterThan(0);
  expect(await source.forget([one, two])).toHaveLength(2);
  expect(await redis.cli('KEYS', '*')).toEqual([]);
});

it('is sent by itself, off the request', async () => {
  const noting = startLastUsed({ link, clock, log });
  noting.note(one);
  expect(await stands()).toBeNull();
  clock.advance(2_000);
  await untilHolds(async () => expect(await stands()).not.toBeNull());
});
