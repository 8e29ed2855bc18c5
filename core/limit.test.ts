import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advance,
  charge,
  type Charge,
  dayWindow,
  emptyWindow,
  minuteWindow,
  refund,
  spanMs,
  timeUntilFits,
  viewAt,
  type WindowShape,
} from './limit.ts';

const start = 1_700_000_000_000;
const tiny: WindowShape = { widthMs: 10, k: 3 };
const shapes = fc.constantFrom(tiny, minuteWindow, dayWindow);

/** Gaps in parts of a bucket, so that every shape meets its edges. */
const gaps = fc.array(fc.oneof(fc.nat({ max: 300 }), fc.constantFrom(0, 99, 100, 101), fc.integer({ min: 2_000, max: 20_000 })), {
  minLength: 1,
  maxLength: 80,
});

describe('a window', () => {
  it('spans a minute and a day', () => {
    expect(spanMs(minuteWindow)).toBe(60_000);
    expect(spanMs(dayWindow)).toBe(86_400_000);
  });

  it('never admits more than the limit within any span, and never less than what is surely free', () => {
    fc.assert(
      fc.property(shapes, gaps, fc.integer({ min: 1, max: 6 }), (shape, parts, limit) => {
        const window = emptyWindow();
        const admitted: number[] = [];
        let nowMs = start;
        for (const part of parts) {
          nowMs += Math.floor((part * shape.widthMs) / 100);
          const countedAtMost = admitted.filter((at) => at + spanMs(shape) + shape.widthMs >= nowMs).length;
          if (timeUntilFits(window, shape, { nowMs, need: 1, limit }) > 0) {
            expect(countedAtMost).toBeGreaterThanOrEqual(limit);
            continue;
          }
          advance(window, shape, nowMs);
          charge(window, shape, nowMs, 1);
          admitted.push(nowMs);
          // both ends included: the clock is read in whole milliseconds
          expect(admitted.filter((at) => at >= nowMs - spanMs(shape)).length).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });

  it('keeps its sum equal to its buckets, and never below 0, under charges, reservations, refunds and clock steps', () => {
    const step = fc.record({
      part: fc.integer({ min: -1_000, max: 5_000 }),
      amount: fc.nat({ max: 50 }),
      ahead: fc.nat({ max: 500 }),
      refund: fc.boolean(),
      which: fc.nat(),
    });
    fc.assert(
      fc.property(shapes, fc.array(step, { maxLength: 80 }), (shape, steps) => {
        const window = emptyWindow();
        const charges: Charge[] = [];
        let nowMs = start;
        for (const { part, amount, ahead, refund: back, which } of steps) {
          nowMs += Math.floor((part * shape.widthMs) / 100);
          advance(window, shape, nowMs);
          const earlier = charges[which % Math.max(1, charges.length)];
          if (back && earlier !== undefined) refund(window, earlier);
          else charges.push(charge(window, shape, nowMs + ahead, amount));
          const counts = [...window.buckets.values()].map(({ count }) => count);
          expect(Math.min(0, ...counts)).toBe(0);
          expect(window.sum).toBe(counts.reduce((sum, count) => sum + count, 0));
          expect(Math.min(...window.buckets.keys(), window.low)).toBe(window.low);
        }
      }),
    );
  });

  it('looking changes nothing', () => {
    const window = emptyWindow();
    advance(window, tiny, start);
    charge(window, tiny, start, 3);
    const before = structuredClone(window);
    for (const nowMs of [start, start + 35, start + 1_000, start - 500]) {
      viewAt(window, tiny, nowMs);
      timeUntilFits(window, tiny, { nowMs, need: 1, limit: 3 });
    }
    expect(window).toEqual(before);
  });

  it('the clock back by one bucket uses the stored one; by more moves the counts, and refunds find them nowhere', () => {
    const window = emptyWindow();
    advance(window, tiny, start);
    const charged = charge(window, tiny, start, 3);
    expect(viewAt(window, tiny, start - 1)).toMatchObject({ index: start / 10, sum: 3, reanchor: false });
    expect(advance(window, tiny, start - 100)).toMatchObject({ index: start / 10 - 10, sum: 3, reanchor: true });
    refund(window, charged);
    expect(window.sum).toBe(3);
    expect(viewAt(window, tiny, start - 100 + 30).sum).toBe(3);
    expect(viewAt(window, tiny, start - 100 + 31).sum).toBe(0);
  });
});

it.each([
  ['tiny', tiny],
  ['minute', minuteWindow],
  ['day', dayWindow],
])('a %s counts its k whole buckets, and the one across the far edge until its latest charge is older than the span', (_name, shape) => {
  // the last millisecond of a bucket: the bucket k later begins less than a span after it
  const chargedMs = Math.ceil(start / shape.widthMs) * shape.widthMs + shape.widthMs - 1;
  const window = emptyWindow();
  advance(window, shape, chargedMs);
  charge(window, shape, chargedMs, 1);
  const sumAfter = (ms: number): number => viewAt(window, shape, chargedMs + ms).sum;
  expect([sumAfter(spanMs(shape) - shape.widthMs + 2), sumAfter(spanMs(shape)), sumAfter(spanMs(shape) + 1)]).toEqual([1, 1, 0]);
  expect(timeUntilFits(window, shape, { nowMs: chargedMs, need: 1, limit: 1 })).toBe(spanMs(shape) + 1);
});
