import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeStoredObjects } from '../../proxy/stored-objects/contract.ts';
import { makeSharedStoredObjects } from '../../proxy/stored-objects/shared.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import { untilHolds } from '../support/eventually.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';

const log = makeLog({ level: 'silent', name: 'test' });

async function openLink(url: string): Promise<RedisLink> {
  const link = makeRedisLink({ url: hide(url), name: 'test', random: Math.random, log });
  await untilHolds(() => expect(link.connected).toBe(true));
  return link;
}

describeStoredObjects('Redis', async () => {
  const redis = await startRedis();
  const links = [await openLink(redis.url), await openLink(redis.url)] as const;
  return {
    objects: makeSharedStoredObjects({ link: links[0] }),
    others: makeSharedStoredObjects({ link: links[1] }),
    async lifetimeMs() {
      const keys = (await redis.cli('KEYS', 'kw:*:o:*')) as string[];
      return Math.min(...(await Promise.all(keys.map(async (key) => Number(await redis.cli('PTTL', key))))));
    },
    async close() {
      for (const link of links) await link.close();
      await redis.stop();
    },
  };
});

describeStoredObjects('Redis Cluster', async () => {
  const cluster = await startRedisCluster();
  const links = [await openLink(cluster.url), await openLink(cluster.url)] as const;
  return {
    objects: makeSharedStoredObjects({ link: links[0] }),
    others: makeSharedStoredObjects({ link: links[1] }),
    async lifetimeMs() {
      const lifetimes = cluster.nodes.map(async (node) => {
        const keys = (await node.cli('KEYS', 'kw:*:o:*')) as string[];
        return Promise.all(keys.map(async (key) => Number(await node.cli('PTTL', key))));
      });
      return Math.min(...(await Promise.all(lifetimes)).flat());
    },
    async close() {
      for (const link of links) await link.close();
      await cluster.stop();
    },
  };
});

describe('while Redis is away', () => {
  let redis: TestRedis;
  let link: RedisLink;
  const owner = { keyId: 'team-a/app', uid: 'uid-a' };
  const place = { channelId: 'default/openai', credential: 'main' };
  beforeAll(async () => {
    redis = await startRedis();
    link = await openLink(redis.url);
  });
  afterAll(async () => {
    await link.close();
    await redis.stop();
  });

  it('nothing is said to be unknown, and nothing to be noted', async () => {
    const objects = makeSharedStoredObjects({ link, deadlineMs: 300 });
    expect(await objects.note(owner, ['resp_1'], place)).toBe(true);
    await redis.pause();
    expect(await objects.find(owner, ['resp_1'])).toEqual({ outcome: 'unavailable' });
    expect(await objects.note(owner, ['resp_2'], place)).toBe(false);
    expect(await objects.forget(owner, ['resp_1'])).toBe(false);
    await redis.resume();
    await redis.kill();
    await untilHolds(() => expect(objects.ready).toBe(false));
    expect(await objects.find(owner, ['resp_1'])).toEqual({ outcome: 'unavailable' });
    expect(await objects.note(owner, ['resp_2'], place)).toBe(false);
    await redis.start();
    await untilHolds(() => expect(objects.ready).toBe(true));
    expect(await objects.note(owner, ['resp_2'], place)).toBe(true);
    expect(await objects.find(owner, ['resp_2'])).toEqual({ outcome: 'known', places: [place] });
  });
});
