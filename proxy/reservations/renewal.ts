import { billedTokens } from '../../core/usage.ts';
import type { Exchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { costSoFar } from './cost-so-far.ts';

/** A reservation is renewed at least so often, and each second while tokens flow: a stream of minutes counts when its tokens are made, and keeps its slot. */
const renewAtLeastMs = 10_000;
const renewWhileFlowingMs = 1000;
/** Or sooner, when so many have flowed: a fast answer must not be a second of nobody knowing. */
const renewAtTokens = 1000;

/** Books what has flowed so far of a running request, if it is time. Called each second, and with every piece of a stream. */
export function renewWhenDue(exchange: Exchange, parts: Parts, nowMs: number): void {
  if (exchange.admission === undefined) return;
  const tokens = toTokensSoFar(exchange);
  const flowed = tokens - exchange.lastRenewTokens;
  const elapsedMs = nowMs - exchange.lastRenewMs;
  // the timer of a second may be a little early
  const isDue = elapsedMs >= renewAtLeastMs || (flowed > 0 && elapsedMs >= renewWhileFlowingMs * 0.9) || flowed >= renewAtTokens;
  if (!isDue) return;
  exchange.lastRenewMs = nowMs;
  exchange.lastRenewTokens = tokens;
  exchange.lastRenewNanoUsd = Math.max(exchange.lastRenewNanoUsd, costSoFar(exchange).nanoUsd);
  parts.counters.renew(exchange.admission, tokens, exchange.lastRenewNanoUsd);
  const { channelAdmission } = exchange;
  if (channelAdmission !== undefined) parts.counters.renew(channelAdmission.admission, tokens - channelAdmission.tokensBefore);
}

function toTokensSoFar({ shape, meter, abandonedTokens, lastRenewTokens }: Exchange): number {
  if (shape?.stream !== true || meter === undefined) return abandonedTokens;
  const usage = meter.usage()?.usage;
  // a provider's number may be below what was counted before it came; what is booked stays booked until the end
  return Math.max(lastRenewTokens, abandonedTokens + (usage === undefined ? 0 : billedTokens(usage)));
}
