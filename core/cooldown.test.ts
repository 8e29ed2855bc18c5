import { expect, it } from 'vitest';
import { noCooldown, recordThrottle } from './cooldown.ts';

it('lasts as long as the provider says, and no longer than five minutes', () => {
  expect(recordThrottle(noCooldown, 7_000, 100).untilMs).toBe(7_100);
  expect(recordThrottle(noCooldown, 86_400_000, 100).untilMs).toBe(300_100);
});

it('grows when the provider says nothing, once for all that were under way', () => {
  const first = recordThrottle(noCooldown, undefined, 0);
  const second = recordThrottle(recordThrottle(first, undefined, 10), undefined, 1_000);
  expect([first.untilMs, second.untilMs, recordThrottle(second, undefined, 3_000).untilMs]).toEqual([1_000, 3_000, 7_000]);
  let last = noCooldown;
  for (let count = 0; count < 20; count += 1) last = recordThrottle(last, undefined, last.untilMs);
  expect(recordThrottle(last, undefined, last.untilMs).untilMs - last.untilMs).toBe(30_000);
});

it('never ends sooner for a second throttle', () => {
  expect(recordThrottle(recordThrottle(noCooldown, 60_000, 0), 1_000, 10).untilMs).toBe(60_000);
});
