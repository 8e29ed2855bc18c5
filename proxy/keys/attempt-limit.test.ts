import { expect, it } from 'vitest';
import { makeAttemptLimit } from './attempt-limit.ts';

function countMany(limit: ReturnType<typeof makeAttemptLimit>, address: string, times: number): (number | undefined)[] {
  return Array.from({ length: times }, () => limit.count(address, 0));
}

it('lets a burst pass, then tells when the next try may come', () => {
  const limit = makeAttemptLimit();
  expect(countMany(limit, '192.0.2.1', 20).every((waitMs) => waitMs === undefined)).toBe(true);
  expect(limit.count('192.0.2.1', 0)).toBe(1000);
  expect(limit.count('192.0.2.2', 0)).toBeUndefined();
  expect(limit.count('192.0.2.1', 999)).toBe(1);
  expect(limit.count('192.0.2.1', 1000)).toBeUndefined();
});

it('counts an IPv6 network as one client', () => {
  const limit = makeAttemptLimit();
  countMany(limit, '2001:db8::1', 20);
  expect(limit.count('2001:db8:0:0:ffff::2', 0)).toBe(1000);
  expect(limit.count('2001:db8:0:1::2', 0)).toBeUndefined();
});

it('forgets the address unseen for longest', () => {
  const limit = makeAttemptLimit();
  countMany(limit, 'first', 21);
  for (let index = 0; index < 10_000; index += 1) limit.count(`address ${index}`, 0);
  expect(limit.count('first', 0)).toBeUndefined();
});
