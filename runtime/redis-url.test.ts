import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parseRedisUrl } from './redis-url.ts';

describe('parseRedisUrl', () => {
  it('takes host, port, database, user, password and TLS', () => {
    expect(parseRedisUrl('redis://localhost')).toEqual({ ok: true, address: { host: 'localhost', port: 6379, tls: false, database: 0 } });
    const parsed = parseRedisUrl('rediss://me:p%40ss@[::1]:6380/3');
    expect(parsed).toMatchObject({ ok: true, address: { host: '::1', port: 6380, tls: true, database: 3, username: 'me' } });
    expect(parsed.ok && parsed.address.password?.reveal()).toBe('p@ss');
    expect(JSON.stringify(parsed) + inspect(parsed)).not.toContain('p@ss');
  });

  it.each([
    ['not a url', 'is no URL'],
    ['http://user:hidden@host', 'must begin with redis://'],
    ['redis+sentinel://:hidden@host/mymaster', 'Sentinel'],
    ['redis-cluster://:hidden@host', 'Cluster'],
    ['redis://:hidden@host/name', 'number of a database'],
    ['redis://:hidden%zz@host', '%-escapes'],
  ])('refuses %s and does not quote it', (text, message) => {
    const parsed = parseRedisUrl(text);
    expect(parsed).toMatchObject({ ok: false, message: expect.stringContaining(message) });
    expect(JSON.stringify(parsed)).not.toContain('hidden');
  });
});
