import type { AnswerEnd, AttemptOutcome, FailedAttempt, FailureReason } from './attempt-outcome.ts';
import type { AttemptHealth } from '../channels/channel-health.ts';

/** What the outcome of an attempt says of the channel, the credential and the model that it was made with. */
export function toAttemptHealth(outcome: AttemptOutcome): AttemptHealth {
  if (outcome.outcome === 'interrupted') return { kind: 'notAsked' };
  if (outcome.outcome === 'failed') return kinds[outcome.reason](outcome);
  const failed = outcome.outcome === 'answered' ? outcome.failed : undefined;
  return failed === undefined ? ends[outcome.end] : kinds[failed.reason](failed);
}

const ends: Readonly<Record<AnswerEnd, AttemptHealth>> = {
  well: { kind: 'answered', verdict: 'well' },
  // it may be refused before anybody looks at the account, so it is no proof that a credential is well again
  requestFault: { kind: 'answered', verdict: undefined },
  broken: { kind: 'noAnswer', isNobodysFault: false },
  // by the client, the gateway, or the time that its own length took
  cut: { kind: 'notAsked' },
};

const noAnswer = ({ isNobodysFault = false }: FailedAttempt): AttemptHealth => ({ kind: 'noAnswer', isNobodysFault });
const notAsked = (): AttemptHealth => ({ kind: 'notAsked' });

/** An answer about the account is one all the same: the server is there. */
function answered({ reason, ofRequest, retryAfterMs }: FailedAttempt): AttemptHealth {
  const verdict = ofRequest === true ? undefined : (reason as AboutCredential);
  return { kind: 'answered', verdict, retryAfterMs };
}

type AboutCredential = 'credentialDead' | 'accountBroke' | 'modelForbidden' | 'modelUnknown' | 'throttled' | 'quotaSpent';

const kinds: Readonly<Record<FailureReason, (failure: FailedAttempt) => AttemptHealth>> = {
  ConnectFailure: noAnswer,
  Reset: noAnswer,
  Timeout: noAnswer,
  serverError: noAnswer,
  credentialDead: answered,
  accountBroke: answered,
  modelForbidden: answered,
  modelUnknown: answered,
  throttled: answered,
  quotaSpent: answered,
  requestFault: notAsked,
  channelFull: notAsked,
  limiterAway: notAsked,
};
