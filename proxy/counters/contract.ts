import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { shapeOf } from '../../core/limit.ts';
import type { Admission, AdmitAnswer, Counters, LimitWindow, Settlement } from './counters.ts';
import { EventLog } from './event-log.ts';

export interface CountersUnderTest {
  readonly counters: Counters;
  /** everything that is stored, without lifetimes */
  dump(): Promise<unknown>;
  /** empties the store */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** Hands counters whose clock is `now`, and whose jitter is drawn from `random`. */
export type MakeCounters = (parameters: { now: () => number; random: () => number }) => Promise<CountersUnderTest>;

const keyId = 'team-a/app';
const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
const minute = 60_000;
const day = 86_400_000;
const holdMs = 30_000;

const rpm = (limit: number): LimitWindow => ({ name: 'rpm', unit: 'requests', span: 'minute', limit, shadow: false });
const tpm = (limit: number): LimitWindow => ({ name: 'tpm', unit: 'tokens', span: 'minute', limit, shadow: false });
const rpd = (limit: number): LimitWindow => ({ name: 'rpd', unit: 'requests', span: 'day', limit, shadow: false });
const tpd = (limit: number): LimitWindow => ({ name: 'tpd', unit: 'tokens', span: 'day', limit, shadow: false });
const shadow = (window: LimitWindow): LimitWindow => ({ ...window, shadow: true });

/** What every store of limits must do. `runs`: how many random histories each property is shown. */
export function describeCounters(name: string, make: MakeCounters, { runs = 60 }: { runs?: number } = {}): void {
  describe(`counters: ${name}`, () => {
    let subject: CountersUnderTest;
    let nowMs = 0;
    let jitter = 0;
    let nextRequest = 0;

    beforeEach(async () => {
      // an hour ahead of the machine's clock, so that clock steps backwards stay in the future of a store that removes by its own clock; any phase of a bucket
      nowMs = Date.now() + 3_600_000;
      jitter = 0;
      subject = await make({ now: () => nowMs, random: () => jitter });
    });
    afterEach(() => subject.close());

    const request = (windows: readonly LimitWindow[], rest: Partial<Admission> = {}): Admission => {
      nextRequest += 1;
      return { requestId: `request-${nextRequest}`, keyId, bearer, windows, tokens: 0, holdMs, ...rest };
    };
    const admit = async (admission: Admission): Promise<AdmitAnswer> => {
      const answer = await subject.counters.admit(admission);
      // counters that fell back to anything else would pass by accident
      expect(answer).toMatchObject({ degraded: false, timeMs: expect.any(Number) });
      return answer;
    };
    const outcome = async (admission: Admission): Promise<string> => (await admit(admission)).outcome;
    const settle = async (admission: Admission, rest: Partial<Settlement> = {}): Promise<void> => {
      const { requestId, windows, concurrency } = admission;
      subject.counters.settle({
        requestId,
        keyId: admission.keyId,
        windows,
        tokens: 0,
        concurrency: concurrency !== undefined,
        refundRequest: false,
        ...rest,
      });
      await subject.counters.flush();
    };
    const renew = async (admission: Admission, tokensSoFar: number): Promise<void> => {
      subject.counters.renew(admission, tokensSoFar);
      await subject.counters.flush();
    };
    const remaining = async (windows: readonly LimitWindow[]): Promise<Record<string, number>> => {
      // asked by what cannot be admitted, so that asking changes nothing
      const answer = await admit(request([...windows, { ...rpm(0), name: 'none' }]));
      const states = 'windows' in answer ? answer.windows : [];
      return Object.fromEntries(states.filter((state) => state.name !== 'none').map((state) => [state.name, state.remaining]));
    };
    /** an admission that must be refused */
    const refusal = async (admission: Admission): Promise<Extract<AdmitAnswer, { outcome: 'refused' }>> => {
      const answer = await admit(admission);
      if (answer.outcome !== 'refused') throw new Error(`expected a refusal, got ${answer.outcome}`);
      return answer;
    };

    describe('windows', () => {
      it('admits up to the limit and says what remains', async () => {
        const windows = [rpm(2), tpm(100)];
        const first = await admit(request(windows, { tokens: 30 }));
        expect(first).toMatchObject({ outcome: 'admitted', timeMs: nowMs, shadowRefusals: [], degraded: false });
        expect(first).toMatchObject({
          windows: [
            { name: 'rpm', unit: 'requests', span: 'minute', limit: 2, remaining: 1 },
            { name: 'tpm', unit: 'tokens', span: 'minute', limit: 100, remaining: 70 },
          ],
        });
        expect(await outcome(request(windows))).toBe('admitted');
        expect(await refusal(request(windows))).toMatchObject({ limitName: 'rpm', unit: 'requests', span: 'minute', limit: 2 });
      });

      it('a refused request changes nothing', async () => {
        const windows = [rpm(5), rpd(5), tpm(1_000), tpd(10)];
        await admit(request(windows, { tokens: 10, concurrency: { limit: 5, shadow: false } }));
        nowMs += 3_000;
        const before = await subject.dump();
        // the last window refuses after the others were found to have room, over a bucket's edge and with a stale bucket to forget
        await refusal(request(windows, { tokens: 10, concurrency: { limit: 5, shadow: false } }));
        nowMs += 2 * minute;
        await refusal(request(windows, { tokens: 10 }));
        await refusal(request([rpm(5), rpm(0)]));
        expect(await subject.dump()).toEqual(before);
      });

      it('a limit of 0 refuses everything, also what asks for no tokens, and is named first', async () => {
        expect(await refusal(request([tpm(0)], { tokens: 0 }))).toMatchObject({ limitName: 'tpm', limit: 0, retryAfterMs: minute });
        await admit(request([rpd(1)]));
        const refused = await refusal(request([rpd(1), { ...rpd(0), name: 'rpd:o1*' }]));
        expect(refused).toMatchObject({ limitName: 'rpd:o1*', limit: 0 });
        expect(refused.retryAfterMs).toBeLessThanOrEqual(minute);
      });

      it('names the limit that frees last', async () => {
        await admit(request([rpm(1), rpd(1)]));
        nowMs += 10;
        const refused = await refusal(request([rpm(1), rpd(1)]));
        expect(refused).toMatchObject({ limitName: 'rpd', span: 'day' });
        expect(refused.retryAfterMs).toBeGreaterThan(day - 1_000);
      });

      it('keeps the windows of other keys and models apart', async () => {
        const small = { ...rpm(1), name: 'rpm:gpt-4o mini*' };
        const other = { ...rpm(1), name: 'rpm:claude-*' };
        expect(await outcome(request([small]))).toBe('admitted');
        expect(await outcome(request([other]))).toBe('admitted');
        expect(await outcome(request([small], { keyId: 'team-a/other' }))).toBe('admitted');
        expect(await outcome(request([small]))).toBe('refused');
      });

      it('keeps the counts when the amount changes, and a removed limit stops at once', async () => {
        for (let count = 0; count < 3; count += 1) await admit(request([rpm(3)]));
        expect(await outcome(request([rpm(3)]))).toBe('refused');
        expect(await outcome(request([rpm(4)]))).toBe('admitted');
        expect(await outcome(request([rpm(2)]))).toBe('refused');
        expect(await outcome(request([]))).toBe('admitted');
      });

      it('counts a charge until it is a whole span old: k buckets are not enough', async () => {
        // the last millisecond of one bucket and the first of the one that is k later are less than a span apart
        const width = shapeOf('minute').widthMs;
        nowMs = Math.ceil(nowMs / width) * width + width - 1;
        await admit(request([rpm(1)]));
        nowMs += minute - width + 2;
        expect(await outcome(request([rpm(1)]))).toBe('refused');
        nowMs += width - 2;
        expect(await outcome(request([rpm(1)]))).toBe('refused');
        nowMs += 1;
        expect(await outcome(request([rpm(1)]))).toBe('admitted');
      });

      it('forgets after a long pause, whatever was there', async () => {
        for (let count = 0; count < 40; count += 1) {
          await admit(request([rpm(100), tpm(100_000)], { tokens: 10 }));
          nowMs += 1_700;
        }
        nowMs += 90 * minute;
        expect(await remaining([rpm(100), tpm(100_000)])).toEqual({ rpm: 100, tpm: 100_000 });
        expect(await outcome(request([rpm(1), tpm(10)], { tokens: 10 }))).toBe('admitted');
      });

      it('counts amounts above 1e14 exactly', async () => {
        const windows = [tpm(500_000_000_000_123)];
        const big = 200_000_000_000_001;
        const first = request(windows, { tokens: big });
        expect(await outcome(first)).toBe('admitted');
        expect(await outcome(request(windows, { tokens: big }))).toBe('admitted');
        expect(await remaining(windows)).toEqual({ tpm: 100_000_000_000_121 });
        expect(await outcome(request(windows, { tokens: big }))).toBe('refused');
        await renew(first, 100_000_000_000_001);
        await settle(first, { tokens: big + 1 });
        expect(await remaining(windows)).toEqual({ tpm: 100_000_000_000_120 });
        expect(await outcome(request(windows, { tokens: 100_000_000_000_120 }))).toBe('admitted');
      });
    });

    describe('idempotency', () => {
      it('the same admission again changes nothing and answers as the first', async () => {
        const admission = request([rpm(2), shadow({ ...rpm(0), name: 'silent' }), tpm(100)], {
          tokens: 60,
          concurrency: { limit: 1, shadow: false },
        });
        const first = await admit(admission);
        const before = await subject.dump();
        nowMs += 100;
        expect(await admit(admission)).toEqual(first);
        expect(await subject.dump()).toEqual(before);
      });

      it('holds when both are sent at the same time', async () => {
        const admission = request([rpm(5)]);
        await Promise.all([admit(admission), admit(admission), admit(admission)]);
        expect(await remaining([rpm(5)])).toEqual({ rpm: 4 });
      });

      it('a second settlement does nothing', async () => {
        const windows = [rpm(10), tpm(1_000)];
        const admission = request(windows, { tokens: 100 });
        await admit(admission);
        await settle(admission, { tokens: 300, refundRequest: true });
        const once = await subject.dump();
        await settle(admission, { tokens: 300, refundRequest: true });
        expect(await subject.dump()).toEqual(once);
        expect(await remaining(windows)).toEqual({ rpm: 10, tpm: 700 });
      });

      it('a settlement or renewal without an admission does nothing', async () => {
        await admit(request([rpm(10), tpm(1_000)], { tokens: 100 }));
        const before = await subject.dump();
        const unknown = request([rpm(10), tpm(1_000)], { tokens: 100 });
        await settle(unknown, { tokens: 500, refundRequest: true });
        await renew(unknown, 500);
        expect(await subject.dump()).toEqual(before);
      });
    });

    describe('tokens', () => {
      it('reserves the estimate and replaces it by the true usage', async () => {
        const windows = [tpm(1_000), tpd(5_000)];
        const admission = request(windows, { tokens: 800 });
        await admit(admission);
        expect(await outcome(request(windows, { tokens: 300 }))).toBe('refused');
        await settle(admission, { tokens: 250 });
        expect(await remaining(windows)).toEqual({ tpm: 750, tpd: 4_750 });
      });

      it('caps the estimate at each limit, so that an idle key can always start', async () => {
        const windows = [tpm(100), tpd(5_000)];
        const admission = request(windows, { tokens: 1_000 });
        expect(await outcome(admission)).toBe('admitted');
        expect(await remaining(windows)).toEqual({ tpm: 0, tpd: 4_000 });
        await settle(admission, { tokens: 1_200 });
        expect(await remaining(windows)).toEqual({ tpm: 0, tpd: 3_800 });
      });

      it('a reservation that nobody settles becomes used tokens at its deadline, not before and not for ever', async () => {
        const windows = [tpm(100)];
        const crashed = request(windows, { tokens: 80 });
        await admit(crashed);
        nowMs += holdMs + minute;
        expect(await remaining(windows)).toEqual({ tpm: 20 });
        await settle(crashed, { tokens: 1 });
        expect(await remaining(windows)).toEqual({ tpm: 20 });
        nowMs += 1;
        nowMs += shapeOf('minute').widthMs;
        expect(await remaining(windows)).toEqual({ tpm: 100 });
      });

      it('renewing books what has flowed and keeps the rest reserved', async () => {
        const windows = [tpm(1_000)];
        const admission = request(windows, { tokens: 600 });
        await admit(admission);
        for (const soFar of [100, 250, 250, 700]) {
          nowMs += 20_000;
          await renew(admission, soFar);
          expect(await remaining(windows)).toEqual({ tpm: 1_000 - Math.max(600, soFar) });
        }
        await settle(admission, { tokens: 720 });
        // what flowed in the first renewals is still within the minute
        expect(await remaining(windows)).toEqual({ tpm: 280 });
        nowMs += minute - 19_000;
        // the first 100 are older than a minute now
        expect(await remaining(windows)).toEqual({ tpm: 1_000 - (720 - 250) });
      });

      it('gives back at the end what had been booked too much, from where it was booked first', async () => {
        const windows = [tpm(1_000), tpd(5_000)];
        const admission = request(windows, { tokens: 600 });
        await admit(admission);
        await renew(admission, 400);
        nowMs += 20_000;
        await renew(admission, 500);
        await settle(admission, { tokens: 150 });
        expect(await remaining(windows)).toEqual({ tpm: 850, tpd: 4_850 });
        nowMs += minute - 19_000;
        // the first of it is older than a minute now, and 100 flowed later
        expect(await remaining(windows)).toEqual({ tpm: 900, tpd: 4_850 });
      });

      it('gives back no more than was booked first, and nothing of what has aged out', async () => {
        const windows = [tpm(1_000), tpd(5_000)];
        const admission = request(windows, { tokens: 600 });
        await admit(admission);
        await renew(admission, 100);
        for (const soFar of [300, 400, 500]) {
          nowMs += 25_000;
          await renew(admission, soFar);
        }
        await settle(admission, { tokens: 150 });
        expect(await remaining(windows)).toEqual({ tpm: 600, tpd: 4_600 });
      });

      it('a refund takes from the bucket that was charged, or from nowhere once that has aged out', async () => {
        const windows = [rpm(10)];
        const early = request(windows, { holdMs: 10 * minute });
        const late = request(windows, { holdMs: 10 * minute });
        await admit(early);
        nowMs += 40_000;
        await admit(late);
        nowMs += 25_000;
        expect(await remaining(windows)).toEqual({ rpm: 9 });
        await settle(early, { refundRequest: true });
        expect(await remaining(windows)).toEqual({ rpm: 9 });
        await settle(late, { refundRequest: true });
        expect(await remaining(windows)).toEqual({ rpm: 10 });
      });
    });

    it('counts a Channel apart from a key of the same name, without anybody who asks', async () => {
      const concurrency = { limit: 1, shadow: false };
      const { bearer: _nobody, ...ofChannel } = request([rpm(3), tpm(100)], { subject: 'channel', tokens: 30, concurrency });
      expect(await outcome(ofChannel)).toBe('admitted');
      expect(await outcome({ ...ofChannel, requestId: 'another' })).toBe('refused');
      expect(await admit(request([rpm(3), tpm(100)], { tokens: 10, concurrency }))).toMatchObject({
        windows: [{ remaining: 2 }, { remaining: 90 }],
      });
      await renew(ofChannel, 20);
      await settle(ofChannel, { subject: 'channel', tokens: 50 });
      expect(await admit({ ...ofChannel, requestId: 'another' })).toMatchObject({
        outcome: 'admitted',
        windows: [{ remaining: 1 }, { remaining: 20 }],
      });
    });

    describe('concurrency', () => {
      const two = { limit: 2, shadow: false };

      it('admits so many at once, and frees a slot with the settlement', async () => {
        const first = request([], { concurrency: two });
        await admit(first);
        await admit(request([], { concurrency: two }));
        const refused = await refusal(request([rpm(5)], { concurrency: two }));
        expect(refused).toMatchObject({ limitName: 'concurrency', unit: 'concurrency', span: 'now', limit: 2 });
        expect(refused.retryAfterMs).toBeGreaterThanOrEqual(250);
        expect(refused.retryAfterMs).toBeLessThanOrEqual(1_000);
        await settle(first);
        expect(await outcome(request([], { concurrency: two }))).toBe('admitted');
      });

      it('a client that goes one after the other is never refused', async () => {
        const one = { limit: 1, shadow: false };
        for (let count = 0; count < 20; count += 1) {
          const admission = request([rpm(100)], { concurrency: one });
          expect(await outcome(admission)).toBe('admitted');
          // not flushed: the slot must be free for the very next admission
          subject.counters.settle({
            requestId: admission.requestId,
            keyId,
            windows: admission.windows,
            tokens: 0,
            concurrency: true,
            refundRequest: false,
          });
        }
      });

      it('the slots of a crashed proxy free themselves at their deadline; renewed ones stay', async () => {
        const alive = request([], { concurrency: two });
        await admit(alive);
        await admit(request([], { concurrency: two }));
        nowMs += holdMs - 1;
        await renew(alive, 0);
        expect(await outcome(request([], { concurrency: two }))).toBe('refused');
        nowMs += 1;
        expect(await outcome(request([], { concurrency: two }))).toBe('admitted');
        expect(await outcome(request([], { concurrency: two }))).toBe('refused');
      });
    });

    describe('shadow', () => {
      it('counts and reports, and never refuses', async () => {
        const windows = [shadow(rpm(1)), rpm(3), shadow({ ...tpm(10), name: 'silent tpm' })].map((window, position) => ({
          ...window,
          name: `${window.name}${position}`,
        }));
        const concurrency = { limit: 1, shadow: true };
        expect(await admit(request(windows, { tokens: 8, concurrency }))).toMatchObject({ outcome: 'admitted', shadowRefusals: [] });
        expect(await admit(request(windows, { tokens: 8, concurrency }))).toMatchObject({
          outcome: 'admitted',
          shadowRefusals: ['rpm0', 'silent tpm2', 'concurrency'],
        });
        expect(await remaining(windows)).toEqual({ rpm0: 0, rpm1: 1, 'silent tpm2': 0 });
      });

      it('is not counted when another limit refuses', async () => {
        await admit(request([shadow(rpm(5)), rpd(1)]));
        await refusal(request([shadow(rpm(5)), rpd(1)]));
        expect(await remaining([shadow(rpm(5))])).toEqual({ rpm: 4 });
      });
    });

    describe('the clock', () => {
      it('behind by one bucket: the stored bucket is used', async () => {
        const width = shapeOf('minute').widthMs;
        nowMs = Math.ceil(nowMs / width) * width + 10;
        await admit(request([rpm(2), tpm(100)], { tokens: 10 }));
        nowMs -= 500;
        expect(await outcome(request([rpm(2), tpm(100)], { tokens: 10 }))).toBe('admitted');
        expect(await outcome(request([rpm(2)]))).toBe('refused');
        nowMs += minute;
        expect(await outcome(request([rpm(2)]))).toBe('refused');
        nowMs += 2 * width;
        expect(await outcome(request([rpm(2)]))).toBe('admitted');
      });

      it('behind by more (a failover): the counts move to the bucket of this moment and are not dropped', async () => {
        const windows = [rpm(3), tpm(100)];
        const running = request(windows, { tokens: 40, holdMs: 5 * minute });
        await admit(running);
        nowMs += 20_000;
        await admit(request(windows, { tokens: 40 }));
        nowMs -= 45_000;
        expect(await remaining(windows)).toEqual({ rpm: 1, tpm: 20 });
        expect(await outcome(request(windows, { tokens: 20 }))).toBe('admitted');
        nowMs += minute;
        expect(await outcome(request([rpm(3)]))).toBe('refused');
        // buckets charged before the step mean nothing any more: nothing is taken out of them
        await settle(running, { tokens: 0, refundRequest: true });
        expect(await remaining([rpm(3)])).toEqual({ rpm: 0 });
        nowMs += 1;
        expect(await outcome(request([rpm(3)]))).toBe('admitted');
      });
    });

    describe('retry-after', () => {
      it('is exact for requests: refused a millisecond earlier, admitted then; at most a minute for a minute', async () => {
        await fc.assert(
          fc.asyncProperty(arrivalGaps, fc.integer({ min: 1, max: 8 }), fc.constantFrom(rpm, rpd), async (gaps, limit, window) => {
            await subject.reset();
            let refused: Extract<AdmitAnswer, { outcome: 'refused' }> | undefined;
            for (const gap of gaps) {
              nowMs += gap;
              const answer = await admit(request([window(limit)]));
              if (answer.outcome === 'refused') refused = answer;
            }
            if (refused === undefined || refused.timeMs !== nowMs) return;
            if (window === rpm) expect(refused.retryAfterMs).toBeLessThanOrEqual(minute);
            nowMs += refused.retryAfterMs - 1;
            expect(await outcome(request([window(limit)]))).toBe('refused');
            nowMs += 1;
            expect(await outcome(request([window(limit)]))).toBe('admitted');
          }),
          { numRuns: runs },
        );
      });

      it('a client that obeys it is admitted at its first retry, whichever limits refused it', async () => {
        await fc.assert(
          fc.asyncProperty(arrivals, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), async (steps, drawn) => {
            await subject.reset();
            jitter = drawn;
            const windows = [rpm(5), tpm(100), rpd(20), tpd(300)];
            for (const { gap, tokens } of steps) {
              nowMs += gap;
              const admission = request(windows, { tokens });
              const answer = await admit(admission);
              if (answer.outcome !== 'refused') {
                await settle(admission, { tokens: Math.ceil(tokens / 2) });
                continue;
              }
              if (answer.span === 'minute') expect(answer.retryAfterMs).toBeLessThanOrEqual(minute);
              nowMs += answer.retryAfterMs;
              expect(await outcome(admission)).toBe('admitted');
              await settle(admission, { tokens });
            }
          }),
          { numRuns: runs },
        );
      });

      it('the jitter is at most 2 % and 250 ms, and only ever adds', async () => {
        await admit(request([rpm(1), rpd(1)]));
        nowMs += 30_000;
        const exact = await refusal(request([rpm(1)]));
        const exactDay = await refusal(request([rpd(1)]));
        jitter = 0.999_999;
        const jittered = (await refusal(request([rpm(1)]))).retryAfterMs - exact.retryAfterMs;
        const jitteredDay = (await refusal(request([rpd(1)]))).retryAfterMs - exactDay.retryAfterMs;
        expect(exact.retryAfterMs).toBe(30_001);
        expect(jittered).toBe(249);
        expect(jitteredDay).toBe(249);
      });
    });

    it('decides as an exact log of events does: random arrivals, settlements, duplicates, renewals and crashes', async () => {
      /** gives whether it was admitted */
      const admitLike = async (log: EventLog, admission: Admission): Promise<boolean> => {
        const expected = log.admits(admission, nowMs);
        const answer = await admit(admission);
        expect(answer.outcome).toBe(expected ? 'admitted' : 'refused');
        if (!expected || !('windows' in answer)) return false;
        log.admit(admission, nowMs);
        const left = admission.windows.map((window) => Math.max(0, window.limit - log.used(window, nowMs)));
        expect(answer.windows.map((window) => window.remaining)).toEqual(left);
        return true;
      };
      await fc.assert(
        fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 60 }), limitSets, async (actions, { windows, concurrency }) => {
          await subject.reset();
          const log = new EventLog();
          const started: Admission[] = [];
          for (const step of actions) {
            nowMs += step.gap;
            const { tokens, refund: refundRequest } = step;
            const earlier = started[step.which % Math.max(1, started.length)];
            if (step.do === 'admit' || earlier === undefined) {
              const admission = request(windows, { tokens, ...concurrency });
              if (await admitLike(log, admission)) started.push(admission);
            } else if (step.do === 'admit again') {
              await admitLike(log, earlier);
            } else if (step.do === 'settle') {
              log.settle({ ...earlier, refundRequest, tokens }, nowMs);
              await settle(earlier, { tokens, refundRequest });
            } else {
              log.renew(earlier, tokens, nowMs);
              await renew(earlier, tokens);
            }
          }
          for (const window of windows.filter(({ unit }) => unit === 'requests')) {
            expect(log.mostInAnySpan(window)).toBeLessThanOrEqual(window.limit);
          }
        }),
        { numRuns: runs },
      );
    });
  });
}

const gap = fc.oneof(
  fc.integer({ min: 1, max: 50 }),
  fc.integer({ min: 1, max: 4_000 }),
  fc.integer({ min: 50_000, max: 70_000 }),
  fc.constantFrom(1_999, 2_000, 2_001, 59_999, 60_000, 60_001),
);
const arrivalGaps = fc.array(gap, { minLength: 2, maxLength: 30 });
const arrivals = fc.array(fc.record({ gap, tokens: fc.integer({ min: 0, max: 120 }) }), { minLength: 5, maxLength: 40 });
const action = fc.record({
  do: fc.constantFrom('admit', 'admit', 'admit', 'admit again', 'settle', 'settle', 'renew'),
  gap: fc.oneof(gap, fc.constant(0), fc.integer({ min: 80_000_000, max: 90_000_000 })),
  tokens: fc.integer({ min: 0, max: 80 }),
  which: fc.nat({ max: 20 }),
  refund: fc.boolean(),
});
const limitSets = fc.record({
  windows: fc.subarray([rpm(4), tpm(200), rpd(12), tpd(400), { ...rpm(3), name: 'rpm:gpt-*' }], { minLength: 1 }),
  concurrency: fc.constantFrom({}, { concurrency: { limit: 3, shadow: false } }),
});
