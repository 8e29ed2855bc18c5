import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BudgetPeriod } from '../../core/budget.ts';
import type { CountersUnderTest, MakeCounters } from './contract.ts';
import type { Admission, AdmitAnswer, BudgetLimit, BudgetState, LimitWindow, Settlement } from './counters.ts';
import { MoneyLog } from './money-log.ts';

const keyId = 'team-a/app';
const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
const day = 86_400_000;
const holdMs = 30_000;

const budget = (period: BudgetPeriod, limitNanoUsd: number): BudgetLimit => ({ period, limitNanoUsd, shadow: false });
const daily = (limit: number): BudgetLimit => budget('Daily', limit);
const total = (limit: number): BudgetLimit => budget('Total', limit);
const rpm = (limit: number): LimitWindow => ({ name: 'rpm', unit: 'requests', span: 'minute', limit, shadow: false });

interface Money {
  readonly bound: number;
  readonly floor?: number;
}

/** What every store of budgets must do. `runs`: how many random histories the property is shown. */
export function describeMoney(name: string, make: MakeCounters, { runs = 60 }: { runs?: number } = {}): void {
  describe(`budgets: ${name}`, () => {
    let subject: CountersUnderTest;
    let nowMs = 0;
    let nextRequest = 0;

    beforeEach(async () => {
      // ahead of the machine's clock, so that steps backwards stay in the future of a store that removes by its own clock; at noon, far from the edge of a window
      nowMs = Math.ceil((Date.now() + 3_600_000) / day) * day + day / 2;
      subject = await make({ now: () => nowMs, random: () => 0 });
    });
    afterEach(() => subject.close());

    const request = (budgets: readonly BudgetLimit[], { bound, floor = 0 }: Money, rest: Partial<Admission> = {}): Admission => {
      nextRequest += 1;
      const money = { budgets, boundNanoUsd: bound, floorNanoUsd: floor };
      return { requestId: `request-${nextRequest}`, keyId, bearer, windows: [], tokens: 0, money, holdMs, ...rest };
    };
    const admit = async (admission: Admission): Promise<AdmitAnswer> => {
      const answer = await subject.counters.admit(admission);
      // counters that fell back to anything else would pass by accident
      expect(answer).toMatchObject({ degraded: false, timeMs: expect.any(Number) });
      return answer;
    };
    const outcome = async (admission: Admission): Promise<string> => (await admit(admission)).outcome;
    const admitted = async (admission: Admission): Promise<readonly BudgetState[]> => {
      const answer = await admit(admission);
      if (answer.outcome !== 'admitted' || answer.budgets === undefined) throw new Error(`expected an admission, got ${answer.outcome}`);
      return answer.budgets;
    };
    const exhausted = async (admission: Admission): Promise<BudgetState> => {
      const answer = await admit(admission);
      if (answer.outcome !== 'exhausted') throw new Error(`expected a budget that is used up, got ${answer.outcome}`);
      return answer.budget;
    };
    const settle = async (
      { requestId, keyId: holder, windows, money }: Admission,
      cost: number,
      rest: Partial<Settlement> = {},
    ): Promise<void> => {
      subject.counters.settle({
        requestId,
        keyId: holder,
        windows,
        tokens: 0,
        concurrency: false,
        refundRequest: false,
        money: { budgets: money?.budgets ?? [], costNanoUsd: cost },
        ...rest,
      });
      await subject.counters.flush();
    };
    const renew = async (admission: Admission, costSoFar: number): Promise<void> => {
      subject.counters.renew(admission, 0, costSoFar);
      await subject.counters.flush();
    };
    /** spent and reserved, asked by what cannot be admitted, so that asking changes nothing */
    const standing = async (period: BudgetPeriod): Promise<[spent: number, reserved: number]> => {
      const { spentNanoUsd, reservedNanoUsd } = await exhausted(request([budget(period, 0)], { bound: 1 }));
      return [spentNanoUsd, reservedNanoUsd];
    };

    describe('admission', () => {
      it('reserves the bound against every budget, up to the limit and not beyond, and says what they stand at', async () => {
        const budgets = [daily(100), total(1_000)];
        const states = await admitted(request(budgets, { bound: 60 }));
        expect(states).toMatchObject([
          { period: 'Daily', window: new Date(nowMs).toISOString().slice(0, 10), limitNanoUsd: 100, spentNanoUsd: 0, reservedNanoUsd: 60 },
          { period: 'Total', window: 'total', limitNanoUsd: 1_000, spentNanoUsd: 0, reservedNanoUsd: 60 },
        ]);
        expect(states.map(({ resetMs }) => resetMs)).toEqual([day / 2, undefined]);
        expect(await exhausted(request(budgets, { bound: 41 }))).toMatchObject({ period: 'Daily', reservedNanoUsd: 60, resetMs: day / 2 });
        expect(await outcome(request(budgets, { bound: 40 }))).toBe('admitted');
        expect(await outcome(request(budgets, { bound: 1 }))).toBe('exhausted');
        expect(await outcome(request(budgets, { bound: 0 }))).toBe('admitted');
      });

      it('a refused request changes nothing, whether a budget or a limit refuses', async () => {
        const budgets = [total(100), daily(50)];
        const windows = [rpm(2)];
        await admit(request(budgets, { bound: 40 }, { windows }));
        const before = await subject.dump();
        // the last budget refuses after the first was found to have room
        expect(await outcome(request(budgets, { bound: 20 }, { windows }))).toBe('exhausted');
        expect(await outcome(request(budgets, { bound: 5 }, { windows: [rpm(1)] }))).toBe('refused');
        expect(await subject.dump()).toEqual(before);
      });

      it('names the budget that frees last, and a budget before a limit', async () => {
        const all = [daily(0), budget('Monthly', 0), budget('Weekly', 0)];
        const byReset = await Promise.all(all.map(async (one) => exhausted(request([one], { bound: 1 }))));
        const latest = byReset.toSorted((left, right) => (right.resetMs ?? 0) - (left.resetMs ?? 0))[0];
        expect(await exhausted(request(all, { bound: 1 }))).toEqual(latest);
        expect(await exhausted(request([...all, total(0)], { bound: 1 }))).toMatchObject({ period: 'Total', window: 'total' });
        expect(await exhausted(request([total(0), ...all], { bound: 1 }, { windows: [rpm(0)] }))).toMatchObject({ period: 'Total' });
      });

      it('the same again changes nothing and answers as the first', async () => {
        const admission = request([daily(100), { ...total(10), shadow: true }], { bound: 60 }, { windows: [rpm(5)] });
        const first = await admit(admission);
        const before = await subject.dump();
        nowMs += 100;
        const again = await admit(admission);
        expect(again).toMatchObject({ outcome: 'admitted', timeMs: nowMs - 100, shadowRefusals: ['budget:Total'] });
        expect(first).toMatchObject({ shadowRefusals: ['budget:Total'] });
        expect(await subject.dump()).toEqual(before);
      });

      it('never reserves beyond a limit when many come at the same time', async () => {
        const answers = await Promise.all(Array.from({ length: 50 }, async () => outcome(request([daily(100)], { bound: 9 }))));
        expect(answers.filter((answer) => answer === 'admitted').length).toBe(11);
        expect(await standing('Daily')).toEqual([0, 99]);
      });

      it('keeps the budgets of other keys apart', async () => {
        await admit(request([daily(10)], { bound: 10 }));
        expect(await outcome(request([daily(10)], { bound: 10 }, { keyId: 'team-a/other' }))).toBe('admitted');
      });

      it('shadow: counted and reported, and never refused', async () => {
        const budgets = [{ ...daily(10), shadow: true }, total(30)];
        expect(await admit(request(budgets, { bound: 8 }))).toMatchObject({ outcome: 'admitted', shadowRefusals: [] });
        expect(await admit(request(budgets, { bound: 8 }))).toMatchObject({ outcome: 'admitted', shadowRefusals: ['budget:Daily'] });
        expect(await standing('Daily')).toEqual([0, 16]);
        expect(await exhausted(request(budgets, { bound: 15 }))).toMatchObject({ period: 'Total' });
      });

      it('keeps the spend when the amount changes; another period begins at nothing', async () => {
        const first = request([daily(100)], { bound: 100 });
        await admit(first);
        await settle(first, 70);
        expect(await outcome(request([daily(60)], { bound: 1 }))).toBe('exhausted');
        expect(await outcome(request([daily(71)], { bound: 1 }))).toBe('admitted');
        expect(await standing('Weekly')).toEqual([0, 0]);
      });
    });

    describe('settlement', () => {
      it('puts the true cost in the place of the reservation', async () => {
        const admission = request([daily(1_000), total(1_000)], { bound: 300 });
        await admit(admission);
        await settle(admission, 120);
        expect(await standing('Daily')).toEqual([120, 0]);
        expect(await standing('Total')).toEqual([120, 0]);
      });

      it('charges what it has cost also where that is more than was reserved', async () => {
        const admission = request([total(100)], { bound: 50 });
        await admit(admission);
        await settle(admission, 170);
        expect(await standing('Total')).toEqual([170, 0]);
      });

      it('happens once', async () => {
        const other = request([total(1_000)], { bound: 100 });
        const admission = request([total(1_000)], { bound: 100 });
        await admit(other);
        await admit(admission);
        await settle(admission, 30);
        const once = await subject.dump();
        await settle(admission, 30);
        await renew(admission, 80);
        expect(await subject.dump()).toEqual(once);
        expect(await standing('Total')).toEqual([30, 100]);
      });

      it('without an admission does nothing', async () => {
        await admit(request([total(1_000)], { bound: 100 }));
        const before = await subject.dump();
        const unknown = request([total(1_000)], { bound: 100 });
        await settle(unknown, 50);
        await renew(unknown, 50);
        expect(await subject.dump()).toEqual(before);
      });

      it('of a request that reached no provider costs nothing', async () => {
        const admission = request([total(100)], { bound: 50, floor: 20 });
        await admit(admission);
        await settle(admission, 50, { refundRequest: true });
        expect(await standing('Total')).toEqual([0, 0]);
      });
    });

    describe('a stream', () => {
      it('turns what has flowed into spend and keeps the rest reserved', async () => {
        const admission = request([total(1_000)], { bound: 500 });
        await admit(admission);
        for (const soFar of [100, 250, 250]) {
          nowMs += 20_000;
          await renew(admission, soFar);
          expect(await standing('Total')).toEqual([soFar, 500 - soFar]);
        }
        await settle(admission, 260);
        expect(await standing('Total')).toEqual([260, 0]);
      });

      it('that costs less than was thought in between gets the difference back', async () => {
        const admission = request([total(1_000)], { bound: 500 });
        await admit(admission);
        await renew(admission, 300);
        await settle(admission, 210);
        expect(await standing('Total')).toEqual([210, 0]);
      });

      it('that flows beyond its reservation takes nothing of what others hold', async () => {
        const long = request([total(1_000)], { bound: 50 });
        await admit(long);
        await admit(request([total(1_000)], { bound: 400 }));
        await renew(long, 250);
        expect(await standing('Total')).toEqual([250, 400]);
        await renew(long, 300);
        expect(await standing('Total')).toEqual([300, 400]);
        await settle(long, 310);
        expect(await standing('Total')).toEqual([310, 400]);
      });
    });

    describe('a reservation that nobody settles', () => {
      it('turns into spend at its deadline, not before: the estimated input', async () => {
        await admit(request([total(1_000)], { bound: 500, floor: 80 }));
        nowMs += holdMs - 1;
        expect(await standing('Total')).toEqual([0, 500]);
        nowMs += 1;
        expect(await standing('Total')).toEqual([80, 0]);
        nowMs += 2 * day;
        expect(await standing('Total')).toEqual([80, 0]);
      });

      it('or what has flowed, where that is more', async () => {
        const [more, less] = [request([total(1_000)], { bound: 500, floor: 80 }), request([total(1_000)], { bound: 50, floor: 30 })];
        await admit(more);
        await admit(less);
        await renew(more, 200);
        await renew(less, 10);
        nowMs += holdMs;
        expect(await standing('Total')).toEqual([230, 0]);
      });

      it('never more than was reserved', async () => {
        await admit(request([total(1_000)], { bound: 50, floor: 80 }));
        nowMs += holdMs;
        expect(await standing('Total')).toEqual([50, 0]);
      });

      it('books the difference when its settlement comes late, up or down, once, for a day', async () => {
        const [dear, cheap, tooLate] = [1, 2, 3].map(() => request([total(1_000)], { bound: 100, floor: 80 }));
        for (const admission of [dear, cheap, tooLate]) if (admission !== undefined) await admit(admission);
        nowMs += holdMs;
        expect(await standing('Total')).toEqual([240, 0]);
        if (dear === undefined || cheap === undefined || tooLate === undefined) return;
        nowMs += day - 2 * holdMs;
        await settle(dear, 95);
        await settle(cheap, 5);
        await settle(dear, 95);
        expect(await standing('Total')).toEqual([180, 0]);
        nowMs += 2 * holdMs;
        expect(await standing('Total')).toEqual([180, 0]);
        await settle(tooLate, 5);
        expect(await standing('Total')).toEqual([180, 0]);
      });

      it('goes on counting when its stream lives after all', async () => {
        const admission = request([total(1_000)], { bound: 100, floor: 20 });
        await admit(admission);
        nowMs += holdMs + 1;
        await renew(admission, 50);
        expect(await standing('Total')).toEqual([50, 0]);
        await renew(admission, 130);
        expect(await standing('Total')).toEqual([130, 0]);
        nowMs += day - 10;
        await settle(admission, 140);
        expect(await standing('Total')).toEqual([140, 0]);
      });

      it('is forgotten and not lost when its stream speaks again after that day: it costs what it had cost', async () => {
        const long = request([total(1_000)], { bound: 500, floor: 80 });
        await admit(long);
        nowMs += holdMs + day;
        await renew(long, 300);
        await settle(long, 400);
        expect(await standing('Total')).toEqual([80, 0]);
      });

      it('more at once than one look takes: all of them in the end', async () => {
        for (let count = 0; count < 40; count += 1) await admit(request([total(1_000)], { bound: 10, floor: 1 }));
        nowMs += holdMs;
        for (let count = 0; count < 3; count += 1) await standing('Total');
        expect(await standing('Total')).toEqual([40, 0]);
      });
    });

    describe('windows', () => {
      it('midnight splits nothing: a request counts where it was admitted', async () => {
        nowMs += day / 2 - 1;
        const admission = request([daily(100), total(1_000)], { bound: 90, floor: 10 });
        const crashed = request([daily(100), total(1_000)], { bound: 5, floor: 4 });
        await admit(admission);
        await admit(crashed);
        nowMs += 1;
        expect(await standing('Daily')).toEqual([0, 0]);
        expect(await outcome(request([daily(100)], { bound: 100 }))).toBe('admitted');
        await renew(admission, 20);
        await settle(admission, 70);
        nowMs += holdMs;
        expect(await standing('Daily')).toEqual([0, 0]);
        expect(await standing('Total')).toEqual([74, 0]);
        // the clock a little back: the former day is still there
        nowMs -= holdMs + 1;
        expect(await standing('Daily')).toEqual([74, 0]);
      });

      it('have nothing left of the day before yesterday', async () => {
        const spend = async (): Promise<void> => {
          const admission = request([daily(1_000)], { bound: 100 });
          await admit(admission);
          await settle(admission, 100);
        };
        await spend();
        nowMs += day;
        await spend();
        nowMs += day;
        await spend();
        nowMs -= 2 * day;
        expect(await standing('Daily')).toEqual([0, 0]);
        nowMs += day;
        expect(await standing('Daily')).toEqual([100, 0]);
      });

      it('go by the calendar, in UTC', async () => {
        const texts = async (moment: string): Promise<string[]> => {
          nowMs = Date.parse(moment);
          const budgets = [daily(10), budget('Weekly', 10), budget('Monthly', 10), total(10)];
          return (await admitted(request(budgets, { bound: 0 }))).map(({ window }) => window);
        };
        expect(await texts('2031-12-28T23:59:59.999Z')).toEqual(['2031-12-28', '2031-W52', '2031-12', 'total']);
        expect(await texts('2031-12-29T00:00:00.000Z')).toEqual(['2031-12-29', '2032-W01', '2031-12', 'total']);
        expect(await texts('2032-02-29T12:00:00.000Z')).toEqual(['2032-02-29', '2032-W09', '2032-02', 'total']);
        expect(await texts('2032-03-01T00:00:00.000Z')).toEqual(['2032-03-01', '2032-W10', '2032-03', 'total']);
        expect(await texts('2033-01-01T00:00:00.000Z')).toEqual(['2033-01-01', '2032-W53', '2033-01', 'total']);
      });
    });

    it('counts amounts above 1e14 exactly', async () => {
      const limit = 1_000_000_000_000_000;
      const first = request([total(limit)], { bound: 300_000_000_000_001, floor: 200_000_000_000_003 });
      const second = request([total(limit)], { bound: 300_000_000_000_001, floor: 200_000_000_000_003 });
      await admit(first);
      await admit(second);
      expect(await standing('Total')).toEqual([0, 600_000_000_000_002]);
      await renew(first, 100_000_000_000_007);
      expect(await standing('Total')).toEqual([100_000_000_000_007, 499_999_999_999_995]);
      await settle(first, 299_999_999_999_999);
      nowMs += holdMs;
      expect(await standing('Total')).toEqual([500_000_000_000_002, 0]);
      await settle(second, 700_000_000_000_009);
      expect(await standing('Total')).toEqual([1_000_000_000_000_008, 0]);
    });

    let run = 0;
    it('decides as an exact log does: random arrivals, duplicates, streams, crashes, late settlements, midnights; never beyond a limit', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 60 }), budgetSets, async (actions, budgets) => {
          // not merely emptied: what a store has lost, those who have seen it bring back
          run += 1;
          const log = new MoneyLog();
          const started: Admission[] = [];
          /** while every cost is within its bound */
          let isBounded = true;
          const admitLike = async (admission: Admission): Promise<void> => {
            const { money } = admission;
            if (money === undefined) return;
            const isRepeated = log.isHeld(admission.requestId, nowMs);
            const refusing = isRepeated ? [] : log.refusing(money, nowMs).filter((position) => !budgets[position]?.shadow);
            const answer = await admit(admission);
            expect(answer.outcome).toBe(refusing.length === 0 ? 'admitted' : 'exhausted');
            if (answer.outcome !== 'admitted') return;
            if (!isRepeated) {
              log.admit(admission, money, nowMs);
              started.push(admission);
            }
            for (const [position, { period, limitNanoUsd, shadow }] of budgets.entries()) {
              const state = answer.budgets?.[position];
              expect([period, state?.spentNanoUsd, state?.reservedNanoUsd]).toEqual([
                period,
                log.spent(period, nowMs),
                log.reserved(period, nowMs),
              ]);
              if (isBounded && !shadow) expect(log.spent(period, nowMs) + log.reserved(period, nowMs)).toBeLessThanOrEqual(limitNanoUsd);
            }
          };
          for (const step of actions) {
            nowMs += step.gap;
            const earlier = started[step.which % Math.max(1, started.length)];
            if (step.do === 'admit' || earlier === undefined) {
              await admitLike(request(budgets, { bound: step.amount, floor: step.floor }, { keyId: `team-a/run-${run}` }));
              continue;
            }
            const bound = boundOf(earlier);
            const cost = step.beyond ? step.amount : Math.min(step.amount, bound);
            if (step.do === 'admit again') await admitLike(earlier);
            else if (step.do === 'settle') {
              isBounded &&= cost <= bound;
              log.settle(earlier.requestId, step.refund ? 0 : cost, nowMs);
              await settle(earlier, cost, { refundRequest: step.refund });
            } else {
              isBounded &&= cost <= bound;
              log.renew(earlier, cost, nowMs);
              await renew(earlier, cost);
            }
          }
        }),
        { numRuns: runs },
      );
    });
  });
}

function boundOf({ money }: Admission): number {
  return money?.boundNanoUsd ?? 0;
}

const action = fc.record({
  do: fc.constantFrom('admit', 'admit', 'admit', 'admit again', 'settle', 'settle', 'renew'),
  gap: fc.oneof(
    fc.integer({ min: 0, max: 4_000 }),
    fc.constantFrom(0, holdMs - 1, holdMs, holdMs + 1),
    fc.integer({ min: 20_000, max: 90_000_000 }),
  ),
  amount: fc.integer({ min: 0, max: 80 }),
  floor: fc.integer({ min: 0, max: 40 }),
  which: fc.nat({ max: 20 }),
  refund: fc.boolean(),
  beyond: fc.constantFrom(false, false, false, true),
});
const budgetSets = fc.subarray([daily(150), total(600), budget('Weekly', 300), { ...budget('Monthly', 100), shadow: true }], {
  minLength: 1,
});
