import { describe, expect, it } from 'vitest';
import { describeCounters, type MakeCounters } from './contract.ts';
import { describeMoney } from './contract-money.ts';
import { makeMemoryCounters } from './memory.ts';
import { describePeek } from './peek-contract.ts';

const make: MakeCounters = async ({ now, random }) => {
  let counters = makeMemoryCounters({ now, random });
  const current = {
    admit: (...parameters: Parameters<typeof counters.admit>) => counters.admit(...parameters),
    peek: (...parameters: Parameters<typeof counters.peek>) => counters.peek(...parameters),
    settle: (...parameters: Parameters<typeof counters.settle>) => counters.settle(...parameters),
    renew: (...parameters: Parameters<typeof counters.renew>) => counters.renew(...parameters),
    flush: () => counters.flush(),
    close: () => counters.close(),
  };
  return {
    counters: current,
    dump: async () => counters.dump(),
    reset: async () => void (counters = makeMemoryCounters({ now, random })),
    close: () => counters.close(),
  };
};

describeCounters('memory', make);
describeMoney('memory', make);
describePeek('memory', make);

describe('memory counters', () => {
  it('forget idle keys, reservations and slots: memory is bounded by what counts', async () => {
    let nowMs = 1_700_000_000_000;
    const counters = makeMemoryCounters({ now: () => nowMs, random: () => 0 });
    const window = { name: 'tpm', unit: 'tokens', span: 'minute', limit: 10, shadow: false } as const;
    const admit = (id: number) =>
      counters.admit({
        requestId: `r${id}`,
        keyId: `n/key-${id}`,
        bearer: { uid: 'one', gen: 1, credentialId: 'aaaaaaaaaaaa' },
        windows: [window],
        tokens: 5,
        holdMs: 1_000,
        concurrency: { limit: 5, shadow: false },
      });
    for (let id = 0; id < 5_000; id += 1) await admit(id);
    expect(counters.size).toBe(15_000);
    nowMs += 120_000;
    for (let id = 10_000; id < 12_000; id += 1) await admit(id);
    expect(counters.size).toBeLessThanOrEqual(2_000 * 3);
  });
});
