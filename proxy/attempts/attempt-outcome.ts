import type { Refusal } from '../../core/refusals.ts';
import type { UpstreamVerdict } from '../upstream/upstream-failure.ts';

/** Why an attempt has given no answer. */
export type FailureReason =
  | 'ConnectFailure'
  | 'Reset'
  | 'Timeout'
  | UpstreamVerdict
  /** nothing was sent: a limit of the Channel itself, or nobody to ask about it */
  | 'channelFull'
  | 'limiterAway';

/** Nothing of an answer has reached the client. */
export interface FailedAttempt {
  readonly outcome: 'failed';
  readonly reason: FailureReason;
  readonly retryAfterMs: number | undefined;
  /** brought about by this request alone; default: no */
  readonly ofRequest?: boolean;
  /** no connection came about, whatever the request is; default: no */
  readonly isNobodysFault?: boolean;
}

/** How an answer ended: whole, as an answer or as an error that is the client's; broken off by the provider; cut by the client, the gateway, or the time that is allowed to it. */
export type AnswerEnd = 'well' | 'requestFault' | 'broken' | 'cut';

/** What became of one request to one channel. */
export type AttemptOutcome =
  /** the client has the answer, or as much of it as there was; nothing can be tried again */
  | {
      readonly outcome: 'answered';
      readonly end: AnswerEnd;
      /** what the provider said of its account at last; the client has not seen it */
      readonly failed?: FailedAttempt;
    }
  /** the client went away or the gateway ended the request before there was an answer */
  | { readonly outcome: 'interrupted' }
  /** the answer broke off before a byte of it reached the client; the provider may bill it, so it is not tried again */
  | { readonly outcome: 'refused'; readonly refusal: Refusal; readonly end: AnswerEnd }
  /** no byte has reached the client */
  | FailedAttempt;
