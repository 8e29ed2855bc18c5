import { longestThrottleMs, silentThrottleMs } from '../../core/cooldown.ts';
import type { Refusal } from '../../core/refusals.ts';
import type { Candidate } from '../../core/route.ts';
import type { FailedAttempt, FailureReason } from './attempt-outcome.ts';
import type { ChannelBlock } from '../channels/channel-health.ts';
import type { Exchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { toHealthQuestion } from './try-channel.ts';

/** Why a channel has not given the answer. */
interface Why {
  readonly candidate: Candidate;
  readonly reason: FailureReason | ChannelBlock['reason'];
  /** undefined: it may be asked again at once */
  readonly waitMs: number | undefined;
}

/**
 * The refusal of a request that no channel has answered. What a channel is at this moment counts for more than how its attempt went: a throttle is a cooldown by now.
 * `failures`: the last outcome of each channel that was tried, in their order.
 */
export function toNoAnswer(exchange: Exchange, parts: Parts, failures: ReadonlyMap<Candidate, FailedAttempt>): Refusal {
  const known = exchange.candidates.flatMap((candidate) => toWhy(exchange, parts, candidate, failures.get(candidate)) ?? []);
  const isEvery = (reasons: readonly Why['reason'][]): boolean => known.length > 0 && known.every(({ reason }) => reasons.includes(reason));
  if (isEvery(['throttled', 'quotaSpent', 'channelFull'])) return toThrottled(known);
  if (isEvery(['limiterAway']))
    return { code: 'limiter_unavailable', message: 'The limits of the Channels cannot be checked at this moment.', retryAfterMs: 1000 };
  if ([...failures.values()].at(-1)?.reason === 'Timeout')
    return { code: 'upstream_timeout', message: 'The provider did not answer in time.' };
  // one that was not asked may know it
  if (known.length === exchange.candidates.length && isEvery(['modelUnknown']) && !known.some(isListed)) return toUnknownModel(exchange);
  const waits = known.map(({ waitMs }) => waitMs);
  const retryAfterMs = known.length > 0 && waits.every((waitMs) => waitMs !== undefined) ? Math.min(...waits) : undefined;
  return {
    code: 'upstream_unavailable',
    message: 'No provider of this model can be reached at this moment.',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** Undefined: it was not asked, and nothing is known against it. */
function toWhy(exchange: Exchange, parts: Parts, candidate: Candidate, failure: FailedAttempt | undefined): Why | undefined {
  const available = parts.health.look(toHealthQuestion(exchange, candidate));
  if ('block' in available) return { candidate, ...available.block };
  return failure === undefined ? undefined : { candidate, reason: failure.reason, waitMs: failure.retryAfterMs };
}

function toThrottled(known: readonly Why[]): Refusal {
  return {
    code: 'upstream_rate_limited',
    message: 'The providers of this model are rate limited. Try again later.',
    unit: 'requests',
    // of what one request asked too much for the wait stands here as its provider has named it
    retryAfterMs: Math.min(longestThrottleMs, ...known.map(({ waitMs }) => waitMs ?? silentThrottleMs)),
  };
}

/** The Channel itself says that it serves this model: that its provider does not know it is not the client's mistake. */
function isListed({ candidate: { channel, upstreamModel } }: Why): boolean {
  return channel.models?.some(({ name, upstreamName }) => (upstreamName ?? name) === upstreamModel) === true;
}

function toUnknownModel({ shape }: Exchange): Refusal {
  return {
    code: 'model_not_found',
    message: `No channel that this key may use serves the model "${shape?.model ?? ''}".`,
    param: 'model',
  };
}
