import type { Metrics } from '../../../runtime/metrics.ts';
import type { BlockCache } from './block-cache.ts';
import type { Admission, AdmitAnswer } from '../counters.ts';
import { withHolder } from '../holder.ts';
import { makePeekPace } from './peek-pace.ts';
import type { SharedCounters } from '../shared-counters.ts';

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
  /**
   * What was refused for what requests hold that have ended here, of which the store is yet to be told, is asked for once more when it was: else a client that sends one request
   * after the other would be refused by its own former one. Costs a call only where one would have been sent within a moment anyway.
   */
  const askWhatHolds = async (admission: Admission): Promise<AdmitAnswer> => {
    const askedMs = blocks.now();
    const answer = await shared.admit(admission);
    const wanted = { keyId: withHolder(admission).keyId, requests: isOfRequests(answer) };
    const told = isOfStore(answer) ? shared.hasten(wanted) : undefined;
    // it may have been told meanwhile, and asked before that
    const isOld = isOfStore(answer) && blocks.hasFreed(wanted, askedMs);
    if (told === undefined && !isOld) {
      blocks.note(admission, answer, askedMs);
      return answer;
    }
    await told;
    const askedAgainMs = blocks.now();
    const again = await shared.admit(admission);
    blocks.note(admission, again, askedAgainMs);
    return again;
  };
  const ask = async (admission: Admission): Promise<AdmitAnswer> => {
    const answer = await askWhatHolds(admission);
    const byPolicy = answer.outcome === 'unavailable' || ('degraded' in answer && answer.degraded);
    decided.inc({ by: byPolicy ? 'policy' : 'redis' });
    return answer;
  };
  const peek = makePeekPace({ look: (question) => shared.peek(question), now: () => performance.now() });
  return {
    get degraded() {
      return shared.degraded;
    },
    decides: (keyId) => shared.decides(keyId),
    budgets: shared.budgets,
    ready: (withinMs) => shared.ready(withinMs),
    async admit(admission) {
      const blocked = shared.decides(admission.keyId) ? blocks.find(admission) : undefined;
      const known = blocked ?? shared.take(admission);
      if (known === undefined) return ask(admission);
      decided.inc({ by: blocked === undefined ? 'lease' : 'block' });
      return known;
    },
    take: (admission) => shared.take(admission),
    hasten: (wanted) => shared.hasten(wanted),
    peek,
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

function isOfStore(answer: AdmitAnswer): boolean {
  return (answer.outcome === 'exhausted' || answer.outcome === 'refused') && !answer.degraded;
}

/** Of those only what nothing came of is given back; of tokens, money and slots what has ended. */
function isOfRequests(answer: AdmitAnswer): boolean {
  return answer.outcome === 'refused' && answer.unit === 'requests';
}
