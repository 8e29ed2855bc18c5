import type { Metrics } from '../../runtime/metrics.ts';
import type { BlockCache } from './block-cache.ts';
import type { Admission, AdmitAnswer } from './counters.ts';
import type { SharedCounters } from './shared-counters.ts';

interface Options {
  readonly shared: SharedCounters;
  readonly blocks: BlockCache;
  readonly metrics: Metrics;
}

/** What a proxy knows by itself, before it asks the store: refusals that still hold. While the store is away the failure policy decides and nothing here. */
export function makeFrontCounters({ shared, blocks, metrics }: Options): SharedCounters {
  const decided = metrics.counter({
    name: 'limiter_admissions_total',
    help: 'Admissions, by what decided them: redis, lease (booked in advance by this proxy), block (a refusal that still holds, known to this proxy), policy (the failure policy).',
    labels: ['by'],
  });
  const ask = async (admission: Admission): Promise<AdmitAnswer> => {
    const answer = await shared.admit(admission);
    const byPolicy = answer.outcome === 'unavailable' || ('degraded' in answer && answer.degraded);
    decided.inc({ by: byPolicy ? 'policy' : 'redis' });
    blocks.note(admission, answer);
    return answer;
  };
  return {
    get degraded() {
      return shared.degraded;
    },
    budgets: shared.budgets,
    ready: (withinMs) => shared.ready(withinMs),
    async admit(admission) {
      const blocked = shared.degraded ? undefined : blocks.find(admission);
      const known = blocked ?? shared.take(admission);
      if (known === undefined) return ask(admission);
      decided.inc({ by: blocked === undefined ? 'lease' : 'block' });
      return known;
    },
    take: (admission) => shared.take(admission),
    peek: (question) => shared.peek(question),
    settle(settlement) {
      blocks.settled(settlement);
      shared.settle(settlement);
    },
    renew: (admission, tokens, costNanoUsd) => shared.renew(admission, tokens, costNanoUsd),
    forget(keyId) {
      blocks.forget(keyId);
      shared.forget?.(keyId);
    },
    flush: () => shared.flush(),
    close: () => shared.close(),
  };
}
