import type { ChannelRecord } from '../../core/snapshot.ts';
import { billedTokens } from '../../core/usage.ts';
import type { AttemptOutcome, FailedAttempt } from './attempt-outcome.ts';
import type { Admission, LimitWindow } from '../counters/counters.ts';
import type { Exchange } from '../exchange.ts';
import { toChannelWindows } from '../reservations/limit-windows.ts';
import type { Parts } from '../parts.ts';

/** As for keys: what a killed proxy held of a Channel is free again so soon. */
const holdMs = 30_000;

/**
 * Makes one attempt within the limits of its Channel, which all keys share: each attempt counts, since the provider counts it. A full Channel is no attempt. Whatever becomes of
 * the attempt, what it held is settled with the tokens that it used, or given back as a whole when nothing was sent.
 */
export async function withinChannelLimits(
  exchange: Exchange,
  parts: Parts,
  channel: ChannelRecord,
  attempt: () => Promise<AttemptOutcome>,
): Promise<AttemptOutcome> {
  const admission = toAdmission(exchange, channel);
  if (admission === undefined) return attempt();
  const answer = await parts.counters.admit(admission);
  if (answer.outcome !== 'admitted') {
    const full = toFull(answer.outcome === 'refused' ? answer.retryAfterMs : undefined);
    parts.metrics.upstreamRequests.inc({ channel: channel.id, credential: '', outcome: full.reason });
    return full;
  }
  exchange.degraded ||= answer.degraded;
  const before = { tokens: exchange.abandonedTokens, sent: exchange.sentUpstream };
  exchange.channelAdmission = { admission, tokensBefore: before.tokens };
  exchange.sentUpstream = false;
  try {
    // the client may have gone while the counters were asked
    return exchange.gone || exchange.ended !== undefined ? { outcome: 'interrupted' } : await attempt();
  } finally {
    exchange.channelAdmission = undefined;
    parts.counters.settle({
      requestId: admission.requestId,
      keyId: channel.id,
      subject: 'channel',
      windows: admission.windows,
      tokens: toAttemptTokens(exchange, before.tokens),
      concurrency: admission.concurrency !== undefined,
      refundRequest: !exchange.sentUpstream,
    });
    exchange.sentUpstream ||= before.sent;
  }
}

/** What the attempt that is under way, or has just ended, has used: a meter is there from the first bytes of the answer that the client sees, which is the last attempt. */
function toAttemptTokens({ meter, abandonedTokens }: Exchange, tokensBefore: number): number {
  const usage = meter?.usage()?.usage;
  return abandonedTokens - tokensBefore + (usage === undefined ? 0 : billedTokens(usage));
}

function toAdmission({ requestId, attempts, admission }: Exchange, channel: ChannelRecord): Admission | undefined {
  const windows: readonly LimitWindow[] = toChannelWindows(channel);
  const concurrency = channel.limits?.concurrency;
  if (windows.length === 0 && concurrency === undefined) return undefined;
  return {
    // each attempt is one of its own
    requestId: `${requestId}:${attempts + 1}`,
    keyId: channel.id,
    subject: 'channel',
    windows,
    tokens: admission?.tokens ?? 0,
    ...(concurrency === undefined ? {} : { concurrency: { limit: concurrency, shadow: false } }),
    holdMs,
  };
}

/** Undefined: the counters are away and nobody may be let in without them. */
function toFull(retryAfterMs: number | undefined): FailedAttempt {
  return { outcome: 'failed', reason: retryAfterMs === undefined ? 'limiterAway' : 'channelFull', retryAfterMs };
}
