import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CountersUnderTest, MakeCounters } from './contract.ts';
import type { Admission, LimitWindow, PeekAnswer, PeekQuestion } from './counters.ts';

const keyId = 'team-a/app';
const minute = 60_000;
const holdMs = 30_000;
const rpm: LimitWindow = { name: 'rpm', unit: 'requests', span: 'minute', limit: 10, shadow: false };
const tpm: LimitWindow = { name: 'tpm', unit: 'tokens', span: 'minute', limit: 1000, shadow: false };
const rpd: LimitWindow = { name: 'rpd:gpt-4o mini*', unit: 'requests', span: 'day', limit: 100, shadow: true };
const question: PeekQuestion = { keyId, windows: [rpm, tpm, rpd], concurrency: { limit: 5, shadow: false } };

/** What every store says of a key without being asked for anything. */
export function describePeek(name: string, make: MakeCounters): void {
  describe(`peek: ${name}`, () => {
    let subject: CountersUnderTest;
    let nowMs = 0;
    let nextRequest = 0;

    beforeEach(async () => {
      // on the edge of a bucket: a peek must not depend on the phase
      nowMs = Math.ceil(Date.now() / minute) * minute + 3_600_000;
      subject = await make({ now: () => nowMs, random: () => 0 });
    });
    afterEach(() => subject.close());

    const admit = async (tokens: number): Promise<Admission> => {
      nextRequest += 1;
      const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
      const admission = { requestId: `peek-${nextRequest}`, ...question, keyId, bearer, tokens, holdMs };
      expect(await subject.counters.admit(admission)).toMatchObject({ outcome: 'admitted' });
      return admission;
    };
    const settle = async ({ requestId, windows }: Admission, tokens: number): Promise<void> => {
      subject.counters.settle({ requestId, keyId, windows, tokens, concurrency: true, refundRequest: false });
      await subject.counters.flush();
    };
    const peek = async (): Promise<Extract<PeekAnswer, { outcome: 'known' }>> => {
      const answer = await subject.counters.peek(question);
      if (answer.outcome !== 'known') throw new Error('the store is away');
      return answer;
    };
    const used = async (): Promise<number[]> => (await peek()).windows.map((window) => window.used);

    it('a key that was never used has everything', async () => {
      expect(await peek()).toEqual({
        outcome: 'known',
        timeMs: nowMs,
        inFlight: 0,
        budgets: [],
        degraded: false,
        windows: [rpm, tpm, rpd].map(({ name: window, unit, span, limit }) => ({
          name: window,
          unit,
          span,
          limit,
          used: 0,
          remaining: limit,
          resetMs: 0,
        })),
      });
    });

    it('counts what is reserved, then what was used, and what is in flight', async () => {
      const first = await admit(300);
      const second = await admit(50);
      expect(await peek()).toMatchObject({ inFlight: 2, windows: [{ used: 2, remaining: 8 }, { used: 350, remaining: 650 }, { used: 2 }] });
      await settle(first, 20);
      expect(await peek()).toMatchObject({ inFlight: 1, windows: [{ used: 2 }, { used: 70 }, { used: 2 }] });
      await settle(second, 2000);
      expect(await peek()).toMatchObject({ inFlight: 0, windows: [{ used: 2 }, { used: 2020, remaining: 0 }, { used: 2 }] });
    });

    it('changes nothing, however often it is asked', async () => {
      await admit(10);
      nowMs += 3 * minute;
      const before = await subject.dump();
      for (let time = 0; time < 3; time += 1) await peek();
      expect(await subject.dump()).toEqual(before);
    });

    it('says exactly when everything will be out, if nothing else comes', async () => {
      await settle(await admit(10), 10);
      nowMs += 7_123;
      await settle(await admit(10), 10);
      const { windows } = await peek();
      expect(windows.map(({ resetMs }) => resetMs)).toEqual([minute + 1, minute + 1, 1_440 * minute + 1]);
      nowMs += minute;
      expect(await used()).toEqual([1, 10, 2]);
      nowMs += 1;
      expect(await used()).toEqual([0, 0, 2]);
    });

    it('a reservation is out a whole window after its deadline', async () => {
      await admit(10);
      const { windows } = await peek();
      expect(windows[1]?.resetMs).toBe(holdMs + minute + 1);
      nowMs += holdMs + minute;
      expect((await used())[1]).toBe(10);
      nowMs += 1;
      expect((await used())[1]).toBe(0);
    });

    it('forgets nothing when the clock goes back', async () => {
      await settle(await admit(10), 10);
      nowMs -= 10 * minute;
      const { windows } = await peek();
      expect(windows.map((window) => window.used)).toEqual([1, 10, 1]);
      expect(windows[0]?.resetMs).toBe(minute + 1);
    });

    it('does not see the slot of a proxy that died', async () => {
      await admit(10);
      nowMs += holdMs + 1;
      expect((await peek()).inFlight).toBe(0);
    });
  });
}
