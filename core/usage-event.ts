import type { Dialect } from './refusals.ts';
import type { Usage } from './usage.ts';

/**
 * What one request used, as it is told to whoever keeps accounts: one entry of a usage Stream in Redis (`kw:{tag}:usage`), written by the settlement. At least once:
 * a reader de-duplicates by `requestId`.
 */
export interface UsageEvent {
  readonly requestId: string;
  /** `namespace/name` */
  readonly keyId: string;
  /** id of the Channel whose answer was shown; absent when no provider answered */
  readonly channel?: string;
  /** what the client asked for; a client's words, so never a metric label */
  readonly model?: string;
  /** absent of a reservation that nobody settled (its proxy died): only its cost is known, and its status is 499 */
  readonly dialect?: Dialect;
  /** HTTP status that the client saw; 499: it hung up */
  readonly status: number;
  readonly usage: Usage;
  /** integer nano-dollars; absent when the model has no price */
  readonly costNanoUsd?: number;
  readonly durationMs: number;
}
