import type { Candidate } from '../../core/route.ts';

/** Over all channels of one request: more would multiply the load on providers that are already in trouble. */
export const maxAttempts = 3;

/** How often a request may be sent at most, by what its channels allow. */
export function mostAttempts(candidates: readonly Candidate[]): number {
  return Math.min(
    maxAttempts,
    candidates.reduce((sum, { channel }) => sum + 1 + channel.retries.attempts, 0),
  );
}
