import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mergeRevocations, type Revocation, revocationsKey, toRevocationField, toRevocationValue } from '../../core/revocation.ts';
import { makeRedisBoard, type RevocationBoard } from '../../operator/revocation/revocation-board.ts';
import { startRevocationFeed } from '../../proxy/keys/revocation-feed.ts';
import { makeRevocations, type Revocations } from '../../proxy/keys/revocations.ts';
import { systemClock } from '../../runtime/clock.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics, type Metrics } from '../../runtime/metrics.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import { keyRecord } from '../fake/snapshot.ts';
import { untilHolds } from '../support/eventually.ts';
import { useRedis } from '../support/use-redis.ts';
import { makeSharedRevocations } from '../fake/revocation-board.ts';

const redis = useRedis();
let ends: (() => Promise<void> | void)[] = [];
let logged = '';

beforeEach(async () => {
  logged = '';
});
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

const of = (changes: Partial<Revocation> = {}): Revocation => ({
  keyId: 'default/app',
  uid: 'uid-of-app',
  gen: 2,
  state: 'Revoked',
  ended: [],
  ...changes,
});

function startLink(url = redis.url): RedisLink {
  const destination = new PassThrough();
  destination.on('data', (chunk: Buffer) => (logged += chunk.toString()));
  const log = makeLog({ level: 'debug', name: 'test', destination });
  const link = makeRedisLink({ url: hide(url), name: 'test', random: Math.random, log });
  ends.push(() => link.close());
  return link;
}

async function startBoard(): Promise<RevocationBoard> {
  const board = makeRedisBoard(startLink());
  await untilHolds(() => expect(board.connected).toBe(true));
  return board;
}

function startProxyPart(): { revocations: Revocations; metrics: Metrics; link: RedisLink } {
  const metrics = makeMetrics();
  const revocations = makeRevocations({ now: Date.now, recordOf: (id) => (id === 'default/app' ? keyRecord('app') : undefined), metrics });
  const link = startLink();
  const feed = startRevocationFeed({ link, revocations, clock: systemClock, log: makeLog({ level: 'silent', name: 'test' }), metrics });
  ends.push(
    () => feed.stop(),
    () => metrics.close(),
  );
  return { revocations, metrics, link };
}

const says = ({ revocations }: { revocations: Revocations }) => revocations.overruling(keyRecord('app'), 'aaaaaaaaaaaa');

describe.each([
  ['Redis', startBoard],
  ['memory, for the tests of the operator', async () => makeSharedRevocations().board()],
] as const)('a board of revocations: %s', (_, start) => {
  it('holds what comes together of all writers, in whatever order', async () => {
    const board = await start();
    const states = fc.constantFrom('Active' as const, 'Suspended' as const, 'Revoked' as const, 'Deleted' as const);
    let number = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ gen: fc.nat(5), state: states, ended: fc.subarray(['aaaaaaaaaaaa', 'bbbbbbbbbbbb']) }), {
          minLength: 1,
          maxLength: 6,
        }),
        async (entries) => {
          number += 1;
          const written = entries.map((entry) => of({ ...entry, keyId: `default/app-${number}` }));
          const wanted = written.reduce((left, right) => mergeRevocations(left, right));
          await Promise.all(written.map((revocation) => board.write(revocation)));
          const found = (await board.read()).standing.filter(({ keyId }) => keyId === `default/app-${number}`);
          // a single one stands as it was written, merged with nothing
          expect(found).toEqual([written.length === 1 ? written[0] : wanted]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('gives what stands, tells each change once, and keeps objects of one name apart', async () => {
    const board = await start();
    const told: Revocation[] = [];
    board.onTold((revocation) => told.push(revocation));
    expect(await board.write(of({ gen: 3, state: 'Suspended' }))).toMatchObject({ state: 'Suspended' });
    expect(await board.write(of({ gen: 2, state: 'Active' }))).toMatchObject({ gen: 3, state: 'Suspended' });
    await board.write(of({ uid: 'another', state: 'Deleted' }));
    expect((await board.read()).standing).toHaveLength(2);
    await untilHolds(() => expect(told.at(-1)).toMatchObject({ uid: 'another' }));
  });

  it('lets go only of what stands just so', async () => {
    const board = await start();
    await board.write(of({ gen: 3, state: 'Suspended' }));
    expect(await board.remove(of({ gen: 2, state: 'Suspended' }))).toBe(false);
    expect((await board.read()).standing).toHaveLength(1);
    expect(await board.remove(of({ gen: 3, state: 'Suspended' }))).toBe(true);
    expect((await board.read()).standing).toEqual([]);
  });
});

describe('a board in Redis', () => {
  it('replaces what cannot be read, and passes it over when it reads', async () => {
    const board = await startBoard();
    await redis.cli('HSET', revocationsKey('1e'), toRevocationField(of()), 'nonsense', 'also nonsense', '1 Revoked');
    expect((await board.read()).standing).toEqual([]);
    await board.write(of());
    expect((await board.read()).standing).toEqual([of()]);
  });
});

describe('a proxy', () => {
  it('hears of a revocation, and reads what stood there before', async () => {
    const board = await startBoard();
    await board.write(of({ gen: 1, state: 'Suspended' }));
    const proxy = startProxyPart();
    await untilHolds(() => expect(says(proxy)).toBe('Suspended'));
    await board.write(of());
    await untilHolds(() => expect(says(proxy)).toBe('Revoked'));
    const metrics = await proxy.metrics.registry.metrics();
    expect(metrics).toContain('keywright_revocations_held 1\n');
    expect(metrics).toContain('keywright_revocations_connected 1\n');
  });

  it('finds by reading what pub/sub did not tell', async () => {
    const proxy = startProxyPart();
    await untilHolds(() => expect(proxy.link.connected).toBe(true));
    await redis.cli('HSET', revocationsKey('1e'), toRevocationField(of()), toRevocationValue(of()));
    await untilHolds(() => expect(says(proxy)).toBe('Revoked'));
  });

  it('says that Redis is away when an attempt to connect has failed, and nothing of it before', async () => {
    const events = (): unknown[] =>
      logged.split('\n').flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { event?: unknown }).event]));
    const links = Array.from({ length: 8 }, () => startLink());
    await untilHolds(() => expect(links.map(({ connected }) => connected)).toEqual(links.map(() => true)));
    expect(events()).toEqual(links.map(() => 'redis_link_connected'));
    logged = '';
    startLink('redis://127.0.0.1:1');
    await untilHolds(() => expect(events()).toEqual(['redis_link_lost']));
    expect(logged).toContain('"reason":"ECONNREFUSED"');
  });

  it('goes on to refuse when Redis is emptied, restarted and away, and hears again when it is back', async () => {
    const board = await startBoard();
    const proxy = startProxyPart();
    await untilHolds(() => expect(proxy.link.connected).toBe(true));
    await board.write(of({ gen: 1, state: 'Suspended' }));
    await untilHolds(() => expect(says(proxy)).toBe('Suspended'));
    await redis.cli('FLUSHALL');
    await redis.kill();
    await untilHolds(() => expect(proxy.link.connected).toBe(false));
    expect([says(proxy), logged.includes('"event":"redis_link_lost"')]).toEqual(['Suspended', true]);
    await redis.start();
    await untilHolds(() => expect([proxy.link.connected, board.connected]).toEqual([true, true]));
    expect(says(proxy)).toBe('Suspended');
    await board.write(of());
    await untilHolds(() => expect(says(proxy)).toBe('Revoked'));
  });

  it('notices a Redis that is silent, and reads anew when it answers again', async () => {
    const proxy = startProxyPart();
    await untilHolds(() => expect(proxy.link.connected).toBe(true));
    await redis.pause();
    await untilHolds(() => expect(proxy.link.connected).toBe(false));
    await redis.resume();
    await redis.cli('HSET', revocationsKey('1e'), toRevocationField(of()), toRevocationValue(of()));
    await untilHolds(() => expect(says(proxy)).toBe('Revoked'));
  });
});
