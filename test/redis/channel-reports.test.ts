import { afterEach, beforeEach, expect, it } from 'vitest';
import { channelReportsKey } from '../../core/channel-report.ts';
import { makeRedisChannelReports } from '../../operator/channels/channel-reports.ts';
import type { ChannelHealthView } from '../../proxy/channels/channel-health.ts';
import { startChannelReporter } from '../../proxy/channels/channel-reporter.ts';
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

beforeEach(async () => {
  clock = makeFakeClock();
  link = makeRedisLink({ url: hide(redis.url), name: 'test', random: Math.random, log });
  await eventually(() => link.connected);
});
afterEach(() => link.close());

const credential = { name: 'main', waitMs: 0, coolingModels: 3 };
const well: ChannelHealthView = {
  id: 'team/well',
  breaker: 'closed',
  openForOneTenant: true,
  waitMs: 0,
  credentials: [{ ...credential, state: 'throttled' }],
};
const ill: ChannelHealthView = { ...well, id: 'team/ill', breaker: 'halfOpen', credentials: [{ ...credential, state: 'accountBroke' }] };
const told = { id: 'team/ill', breaker: 'open', credentials: [{ name: 'main', trouble: 'accountBroke' }] };

it('proxies tell what is wrong with a channel as long as it is, and nothing in good times', async () => {
  const source = makeRedisChannelReports(link);
  let views: readonly ChannelHealthView[] = [well];
  const reporter = startChannelReporter({ link, proxy: 'one', describe: () => views, clock, log });
  const other = startChannelReporter({ link, proxy: 'other', describe: () => [well], clock, log });
  clock.advance(2_000);
  expect(Number(await redis.cli('EXISTS', channelReportsKey))).toBe(0);
  views = [well, ill];
  await untilHolds(async () => {
    clock.advance(2_000);
    expect(await source.read()).toEqual([told]);
  });
  // Redis forgets by itself what nobody renews
  expect(Number(await redis.cli('PTTL', channelReportsKey))).toBeGreaterThan(0);
  views = [well];
  await untilHolds(async () => {
    clock.advance(2_000);
    expect(Number(await redis.cli('EXISTS', channelReportsKey))).toBe(0);
  });
  views = [ill];
  await untilHolds(async () => {
    clock.advance(2_000);
    expect(await source.read()).toEqual([told]);
  });
  await reporter.stop();
  await other.stop();
  expect(await source.read()).toEqual([]);
});

it('what is over, or is no report, counts for nothing', async () => {
  const past = `${Date.now() - 1000} ${JSON.stringify([told])}`;
  const future = Date.now() + 60_000;
  await redis.cli('HSET', channelReportsKey, 'gone', past, 'odd', `${future} [{"id":7}]`, 'cut', `${future} [`);
  expect(await makeRedisChannelReports(link).read()).toEqual([]);
});
