import { tagOf } from '../../core/hash-tag.ts';
import type { PeekAnswer, PeekQuestion } from './counters.ts';
import type { LimiterMetrics } from './limiter-metrics.ts';
import { toPeekAnswer } from './peek.ts';
import { readPeek } from './scripts/peek-script.ts';
import type { ScriptStore } from './scripts/script-store.ts';
import { awaitReply } from './store/await-reply.ts';
import type { Forgot } from './until-known.ts';

interface Options {
  readonly admissions: ScriptStore;
  /** the life of the store that holds this tag, as this process knows it */
  readonly lifeOf: (tag: string) => string;
  readonly measured: LimiterMetrics;
  readonly deadlineMs: number;
  readonly monotonicNow: () => number;
  readonly clockText: () => string;
}

/** Asks the store what a key has used; undefined: it does not answer in time. A late answer says nothing to the breaker: it is the admissions that must not wait. */
export function makeLook({ admissions, lifeOf, measured, deadlineMs, monotonicNow, clockText }: Options) {
  return async (question: PeekQuestion): Promise<PeekAnswer | Forgot | undefined> => {
    measured.commands.inc({ command: 'peek' });
    const reading = readPeek(admissions, question, { clock: clockText(), life: lifeOf(tagOf(question.keyId)) });
    const reply = await awaitReply(reading, { deadlineMs, monotonicNow });
    if (reply.outcome !== 'reply') return undefined;
    return typeof reply.value === 'string' ? reply.value : toPeekAnswer(reply.value, question, { degraded: false });
  };
}
