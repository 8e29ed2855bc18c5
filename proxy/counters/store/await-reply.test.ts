import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { awaitReply } from './await-reply.ts';

const never = new Promise<string>(() => {});

describe('awaitReply', () => {
  it('gives the reply or the failure', async () => {
    const monotonicNow = (): number => 0;
    expect(await awaitReply(Promise.resolve('yes'), { deadlineMs: 50, monotonicNow })).toEqual({ outcome: 'reply', value: 'yes' });
    const error = new Error('no');
    expect(await awaitReply(Promise.reject(error), { deadlineMs: 50, monotonicNow })).toEqual({ outcome: 'failed', error });
  });

  it('is late when no reply came and the loop was free', async () => {
    expect(await awaitReply(never, { deadlineMs: 5, monotonicNow: frozen() })).toEqual({ outcome: 'late', ownStall: false });
  });

  it('gives what the loop was late by once more: a reply in that time still counts', async () => {
    // the clock says that the first timer ran 40 ms late
    const times = [0, 45];
    const monotonicNow = (): number => times.shift() ?? 0;
    expect(await awaitReply(sleep(15, 'yes'), { deadlineMs: 10, monotonicNow })).toEqual({ outcome: 'reply', value: 'yes' });
  });

  it('does not go on for ever under constant stalls, and says whose fault it was', async () => {
    let nowMs = 0;
    const monotonicNow = (): number => (nowMs += 50);
    expect(await awaitReply(never, { deadlineMs: 5, monotonicNow })).toEqual({ outcome: 'late', ownStall: true });
  });

  it('reads what has arrived before it gives up', async () => {
    const reply = new Promise<string>((resolve) => setTimeout(() => setImmediate(() => resolve('arrived')), 5));
    const answer = awaitReply(reply, { deadlineMs: 5, monotonicNow: frozen() });
    expect(await answer).toEqual({ outcome: 'reply', value: 'arrived' });
  });
});

function frozen(): () => number {
  return () => 0;
}
