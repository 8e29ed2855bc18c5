import type { PeekAnswer, PeekQuestion } from '../counters.ts';

/** A client that polls faster is told what was told last, which says of when it is. */
const mostInPeriod = 20;
const periodMs = 1_000;
const mostKeys = 10_000;

interface Paced {
  readonly name: string;
  readonly sinceMs: number;
  looks: number;
  last: Promise<PeekAnswer>;
}

/** Asks the store no more than twenty times a second what one key has used: the question counts against no limit. `now` in milliseconds of a clock that does not go back. */
export function makePeekPace({ look, now }: { look: (question: PeekQuestion) => Promise<PeekAnswer>; now: () => number }) {
  /** the period that began last is last */
  const keys = new Map<string, Paced>();
  return (question: PeekQuestion): Promise<PeekAnswer> => {
    const name = JSON.stringify(question);
    const known = keys.get(question.keyId);
    if (known !== undefined && known.name === name && now() - known.sinceMs < periodMs) {
      if (known.looks < mostInPeriod) {
        known.looks += 1;
        known.last = look(question);
      }
      return known.last;
    }
    const begun: Paced = { name, sinceMs: now(), looks: 1, last: look(question) };
    keys.delete(question.keyId);
    keys.set(question.keyId, begun);
    const [oldest] = keys.keys();
    if (keys.size > mostKeys && oldest !== undefined) keys.delete(oldest);
    return begun.last;
  };
}
