import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { describeRedis, parseRedisUrl, type RedisAddress } from './redis-url.ts';

function parsed(text: string): RedisAddress {
  const result = parseRedisUrl(text);
  if (!result.ok) throw new Error(result.mistakes.join('\n'));
  return result.address;
}

describe('parseRedisUrl', () => {
  it('takes one Redis: host, port, database, user, password and TLS', () => {
    const one = { topology: 'single', tls: false, database: 0, masterName: '' };
    expect(parsed('redis://localhost')).toEqual({ ...one, endpoints: [{ host: 'localhost', port: 6379 }] });
    const address = parsed('rediss://me:p%40ss@[::1]:6380/3');
    expect(address).toMatchObject({ ...one, endpoints: [{ host: '::1', port: 6380 }], tls: true, database: 3, username: 'me' });
    expect(address.password?.reveal()).toBe('p@ss');
    expect(JSON.stringify(address) + inspect(address)).not.toContain('p@ss');
    expect(parsed('redis://:a@b:c@host').password?.reveal()).toBe('a@b:c');
    expect(describeRedis(address)).toBe('[::1]:6380');
  });

  it('takes the Sentinels and the name of their master', () => {
    const address = parsed('rediss+sentinel://me:pw@one:26380,two,[::1]:9/my-master.1/2');
    expect(address).toMatchObject({ topology: 'sentinel', tls: true, masterName: 'my-master.1', database: 2, username: 'me' });
    expect(address.endpoints).toEqual([
      { host: 'one', port: 26380 },
      { host: 'two', port: 26379 },
      { host: '::1', port: 9 },
    ]);
    expect(describeRedis(address)).toBe('master my-master.1 of Sentinel one:26380,two:26379,[::1]:9');
  });

  it('takes some nodes of a cluster', () => {
    const address = parsed('redis+cluster://:pw@10.0.0.1:7000,redis.example.com');
    expect(address).toMatchObject({ topology: 'cluster', tls: false, database: 0, masterName: '' });
    expect(address.endpoints).toEqual([
      { host: '10.0.0.1', port: 7000 },
      { host: 'redis.example.com', port: 6379 },
    ]);
    expect(describeRedis(address)).toBe('cluster 10.0.0.1:7000,redis.example.com:6379');
    expect(parsed('redis+cluster://h/0').database).toBe(0);
  });

  it.each([
    ['not a url', ['must be redis://']],
    ['http://user:hidden@host', ['must be redis://']],
    ['redis-sentinel://:hidden@host/mymaster', ['redis+sentinel://']],
    ['redis+replica://:hidden@host', ['must be redis://']],
    ['redis://', ['names no host']],
    ['redis://:hidden@host/name', ['number of a database as its path']],
    ['redis://:hidden@host/1/2', ['number of a database']],
    ['redis://:hidden%zz@host', ['%-escapes are wrong']],
    ['redis://:hid/den@host', ['must be %-escaped']],
    ['redis://:hidden@one,two', ['names several hosts']],
    ['redis://host:0', ['a port from 1 to 65535']],
    ['redis://ho st:6379', ['must have host, host:port or [IPv6]:port']],
    ['redis://host?db=1', ['must have host, host:port']],
    ['redis+sentinel://:hidden@host:26379', ['the name that the Sentinels give the master']],
    ['redis+sentinel://host/my master', ['the name that the Sentinels give the master']],
    ['redis+sentinel://host/mymaster/x', ['the number of a database after the name']],
    ['redis+cluster://host/1', ['database 0 alone']],
    [
      'redis+sentinel://:hidden%z@one:99999,,t~o/a b/x',
      [
        '%-escapes are wrong',
        'a port from 1 to 65535 at place 1 of its hosts',
        'names no host at place 2',
        'must have host, host:port or [IPv6]:port at place 3',
        'the name that the Sentinels give',
        'the number of a database',
      ],
    ],
  ])('refuses %s with every mistake, and does not quote it', (text, mistakes) => {
    const result = parseRedisUrl(text);
    expect(result).toEqual({ ok: false, mistakes: mistakes.map((mistake) => expect.stringContaining(mistake) as unknown) });
    expect(JSON.stringify(result)).not.toMatch(/hidden|hid\/den/);
  });
});
