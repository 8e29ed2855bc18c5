import { billedTokens } from '../../core/usage.ts';
import type { Exchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';

/** A reservation is renewed at least so often, and each second while tokens flow. */
const renewAtLeastMs = 10_000;

/**
 * Stage 6: the true usage replaces the reservation; on a broken or aborted answer the best known one. Runs once for every request, whatever became of it, and settles
 * each admission exactly once. A request of which nothing reached a provider is given back as a whole.
 */
export function settle(exchange: Exchange, parts: Parts): void {
  if (exchange.settled) return;
  exchange.settled = true;
  const known = exchange.meter?.usage();
  exchange.usage = known?.usage;
  if (known?.exact === false) parts.metrics.usageEstimated.inc({ reason: exchange.abortedBy ?? 'missing' });
  const { admission } = exchange;
  if (admission === undefined) return;
  exchange.admission = undefined;
  const tokens = toTokens(exchange);
  if (tokens > admission.tokens) parts.metrics.reservationOvershoot.observe(tokens - admission.tokens);
  parts.counters.settle({
    requestId: admission.requestId,
    keyId: admission.keyId,
    windows: admission.windows,
    tokens,
    concurrency: admission.concurrency !== undefined,
    refundRequest: !exchange.sentUpstream,
  });
}

/** Books what has flowed so far of a running request, so that a stream of minutes counts when its tokens are made, and keeps its slot. Called each second. */
export function renew(exchange: Exchange, parts: Parts, nowMs: number): void {
  if (exchange.admission === undefined) return;
  const tokens = exchange.shape?.stream === true && exchange.meter !== undefined ? toTokens(exchange) : 0;
  if (tokens === exchange.lastRenewTokens && nowMs - exchange.lastRenewMs < renewAtLeastMs) return;
  exchange.lastRenewMs = nowMs;
  exchange.lastRenewTokens = tokens;
  parts.counters.renew(exchange.admission, tokens);
}

function toTokens(exchange: Exchange): number {
  const usage = exchange.settled ? exchange.usage : exchange.meter?.usage()?.usage;
  return exchange.abandonedTokens + (usage === undefined ? 0 : billedTokens(usage));
}
