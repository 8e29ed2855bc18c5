/**
 * How long the answers of one key and model are, learnt in a few bytes: a histogram with two steps to each doubling. Old answers fade: at `fadeAt` answers all counts are halved.
 */
export interface LearntOutput {
  /** answers by step */
  readonly counts: Uint16Array;
  answers: number;
}

/** The last step takes everything from 741,455 tokens on. */
const steps = 40;
/** Fewer say little of the longest tenth. */
const enoughAnswers = 10;
const fadeAt = 500;
const share = 0.9;

export function makeLearntOutput(): LearntOutput {
  return { counts: new Uint16Array(steps), answers: 0 };
}

/** Adds the output tokens of one complete answer. */
export function learnOutput(learnt: LearntOutput, tokens: number): void {
  const step = Math.min(steps - 1, Math.max(0, Math.ceil(2 * Math.log2(Math.max(1, tokens)))));
  learnt.counts[step] = (learnt.counts[step] ?? 0) + 1;
  learnt.answers += 1;
  if (learnt.answers < fadeAt) return;
  learnt.answers = 0;
  for (let index = 0; index < steps; index += 1) {
    learnt.counts[index] = (learnt.counts[index] ?? 0) >> 1;
    learnt.answers += learnt.counts[index] ?? 0;
  }
}

/** At most so many tokens in nine of ten answers: the upper end of a step, so up to 1.42 times too much; undefined while too little is known. */
export function percentileOutput({ counts, answers }: LearntOutput): number | undefined {
  if (answers < enoughAnswers) return undefined;
  let seen = 0;
  for (let step = 0; step < steps; step += 1) {
    seen += counts[step] ?? 0;
    if (seen >= share * answers) return Math.floor(2 ** (step / 2));
  }
  return undefined; // not reached: the counts add up to the answers
}
