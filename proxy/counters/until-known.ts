import { tagOf } from '../../core/hash-tag.ts';
import type { RestoreOutcome } from './outage/budget-restorer.ts';
import type { StoreLives } from './store/store-lives.ts';

/** What a store says that has lost its data: what was spent must be restored first, or it must be told of the life before. */
export type Forgot = 'lost' | 'moved';

interface Options {
  readonly lives: Pick<StoreLives, 'settling' | 'moved'>;
  /** brings back what was spent of a key */
  readonly restore: (keyId: string) => Promise<RestoreOutcome>;
}

/** Restored, asked again, and lost once more: somebody empties the store all the time. */
const mostAttempts = 3;

/**
 * A budget whose spend the store has lost is neither used up nor empty: whoever asks waits until it is known again, and so for limits of which it has lost what was admitted.
 * `closed`: nobody knows; undefined: the store does not say.
 */
export function makeUntilKnown({ lives, restore }: Options) {
  return async <T>(keyId: string, ask: () => Promise<T | Forgot | undefined>): Promise<T | 'closed' | undefined> => {
    const tag = tagOf(keyId);
    for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
      await lives.settling(tag);
      const answer = await ask();
      if (answer !== 'lost' && answer !== 'moved') return answer;
      const outcome = answer === 'lost' ? await restore(keyId) : await lives.moved(tag);
      if (outcome === 'closed') return 'closed';
      if (outcome === 'failed') break;
    }
    return undefined;
  };
}
