import { learnOutput, type LearntOutput, makeLearntOutput, percentileOutput } from '../../core/learnt-output.ts';

/** How long answers are, by key and model. */
export interface LearntOutputs {
  /** the learnt 90th percentile; undefined while too little is known */
  of(keyId: string, model: string): number | undefined;
  /** output tokens of an answer that came to its own end */
  note(keyId: string, model: string, tokens: number): void;
}

/** Some 200 bytes each. A Channel without a list of models takes any name, so that one key alone could fill any memory. */
const mostPairs = 20_000;

/** In memory: what is forgotten at a restart, or because others were used later, is learnt again. */
export function makeLearntOutputs(): LearntOutputs {
  const pairs = new Map<string, LearntOutput>();
  return {
    of(keyId, model) {
      const learnt = pairs.get(`${keyId}\n${model}`);
      return learnt === undefined ? undefined : percentileOutput(learnt);
    },
    note(keyId, model, tokens) {
      const name = `${keyId}\n${model}`;
      const learnt = pairs.get(name) ?? makeLearntOutput();
      learnOutput(learnt, tokens);
      // a Map iterates in order of insertion: the one used last goes to the end
      pairs.delete(name);
      pairs.set(name, learnt);
      if (pairs.size > mostPairs) pairs.delete(pairs.keys().next().value as string);
    },
  };
}
