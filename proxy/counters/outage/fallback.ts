import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import { toAnswer } from '../answers.ts';
import type { Admission, AdmitAnswer, BudgetState, PeekAnswer, PeekQuestion, Settlement } from '../counters.ts';
import { type LocalDecision, makeLocalShare } from './local-share.ts';
import { makePushBack, type PushBackOptions } from './push-back.ts';
import { toPeekAnswer } from '../peek.ts';
import type { StoreClock } from '../store/store-clock.ts';

/** What decides while the store is away: a share of each limit in this process, nobody (503 `limiter_unavailable`), or everybody is let in. */
export type FailurePolicy = 'LocalShare' | 'Closed' | 'Open';

/** What this process decides without the store, and what the store has to be told of that when it is back. */
export interface Fallback {
  /** the life of the store that holds this tag is known from now on */
  began(tag: string): void;
  decide(admission: Admission): AdmitAnswer;
  peek(question: PeekQuestion): PeekAnswer;
  /** the store let it in, by itself or out of what it had booked in advance */
  admitted(admission: Admission, how: { readonly timeMs: number }): void;
  /** what the store says of the budgets of a key */
  heard(keyId: string, budgets: readonly BudgetState[], timeMs: number): void;
  /** the settlement as the store has to be sent it */
  ended(settlement: Settlement): Settlement;
  /** the store is told of this running request in a batch: its end goes in one as well */
  wasTold(request: { readonly keyId: string; readonly requestId: string }): boolean;
  /** the running request as the store knows it; undefined: not at all */
  renewed(admission: Admission, tokensSoFar: number): Admission | undefined;
  /** is there anything that the store, where it is there, has to be told? */
  readonly waiting: boolean;
  /** what it has to be told; whoever takes it sends it until it has arrived */
  take(): readonly RedisScriptCall[];
  /** the running requests of a key, in case the store has forgotten them */
  adopted(keyId: string): readonly RedisScriptCall[];
}

interface Options extends Omit<PushBackOptions, 'now'> {
  readonly policy: FailurePolicy;
  readonly replicas: () => number;
  readonly random: () => number;
  readonly storeClock: StoreClock;
}

export function makeFallback({ policy, replicas, random, storeClock, ...rest }: Options): Fallback {
  const { now } = storeClock;
  const local = policy === 'LocalShare' ? makeLocalShare({ replicas, now }) : undefined;
  const pushBack = makePushBack({ ...rest, now });

  const toLocalAnswer = (decided: LocalDecision, admission: Admission): AdmitAnswer => {
    if (decided.outcome === 'unavailable') return decided;
    if (decided.outcome === 'exhausted') return { ...decided, windows: [], degraded: true };
    return toAnswer(decided.decision, admission, { degraded: true, random, share: decided.share });
  };
  const decide = (admission: Admission): AdmitAnswer => {
    if (policy === 'Closed') return { outcome: 'unavailable' };
    if (local === undefined) return { outcome: 'admitted', timeMs: now(), windows: [], shadowRefusals: [], degraded: true };
    return toLocalAnswer(local.decide(admission), admission);
  };
  return {
    began: (tag) => pushBack.began(tag),
    decide(admission) {
      const answer = decide(admission);
      if (answer.outcome === 'admitted') pushBack.admitted(admission, { timeMs: answer.timeMs, here: true });
      return answer;
    },
    peek(question) {
      if (local === undefined) return { outcome: 'unavailable' };
      const { reading, shares } = local.peek(question);
      // what others spend is not known here, and half of it would be taken for the whole
      return toPeekAnswer(reading, { ...question, budgets: [] }, { degraded: true, shares });
    },
    admitted(admission, { timeMs }) {
      local?.book(admission, timeMs);
      pushBack.admitted(admission, { timeMs, here: false });
    },
    heard: (keyId, budgets, timeMs) => local?.heard(keyId, budgets, timeMs),
    ended(settlement) {
      local?.settle(settlement);
      return pushBack.ended(settlement);
    },
    wasTold: (request) => pushBack.wasTold(request),
    renewed(admission, tokensSoFar) {
      local?.renew(admission, tokensSoFar);
      return pushBack.asKnown(admission);
    },
    get waiting() {
      return pushBack.waiting;
    },
    take: () => pushBack.take(),
    adopted: (keyId) => pushBack.adopted(keyId),
  };
}
