import { nanoUsdPerUsd } from '../../core/money.ts';
import { toRefusalStatus } from '../../core/refusal-answer.ts';
import type { Refusal } from '../../core/refusals.ts';
import type { UsageEvent } from '../../core/usage-event.ts';
import { billedTokens, emptyUsage } from '../../core/usage.ts';
import { clientClosedRequest, type Exchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { costSoFar } from '../reservations/cost-so-far.ts';

/**
 * Stage 6: the true usage replaces the reservation; on a broken or aborted answer the best known one. Runs once for every request, whatever became of it, and settles
 * each admission exactly once, with the event that tells what was used. A request of which nothing reached a provider is given back as a whole.
 * @param refusal what the client is about to be told instead of an answer
 */
export function settle(exchange: Exchange, parts: Parts, refusal: Refusal | undefined): void {
  if (exchange.settled) return;
  exchange.settled = true;
  takeUsage(exchange, parts);
  const { admission } = exchange;
  if (admission === undefined) return;
  exchange.admission = undefined;
  const tokens = exchange.abandonedTokens + (exchange.usage === undefined ? 0 : billedTokens(exchange.usage));
  if (tokens > admission.tokens) parts.metrics.reservationOvershoot.observe(tokens - admission.tokens);
  const costNanoUsd = exchange.cost?.nanoUsd ?? 0;
  if (admission.money !== undefined && costNanoUsd > admission.money.boundNanoUsd) {
    parts.metrics.reservationOvershootUsd.observe((costNanoUsd - admission.money.boundNanoUsd) / nanoUsdPerUsd);
  }
  parts.counters.settle({
    requestId: admission.requestId,
    keyId: admission.keyId,
    windows: admission.windows,
    tokens,
    concurrency: admission.concurrency !== undefined,
    refundRequest: !exchange.sentUpstream,
    ...(admission.money === undefined ? {} : { money: { budgets: admission.money.budgets, costNanoUsd } }),
    event: toEvent(exchange, refusal, admission.keyId),
  });
}

/** What is known of the usage at the end, and what it costs. */
function takeUsage(exchange: Exchange, parts: Parts): void {
  const known = exchange.meter?.usage();
  exchange.usage = known?.usage;
  if (exchange.surface.metered && exchange.sentUpstream) exchange.cost = costSoFar(exchange);
  if (known?.exact === false) parts.metrics.usageEstimated.inc({ reason: exchange.abortedBy ?? 'missing' });
  if (known?.exact === true) learn(exchange, parts);
}

function toEvent(exchange: Exchange, refusal: Refusal | undefined, keyId: string): UsageEvent {
  const { requestId, channel, shape, dialect, usage, cost, startedMs } = exchange;
  return {
    requestId,
    keyId,
    ...(channel === undefined ? {} : { channel: channel.id }),
    ...(shape?.model === undefined ? {} : { model: shape.model }),
    dialect,
    status: toStatus(exchange, refusal),
    usage: usage ?? emptyUsage,
    ...(cost === undefined || cost.unpriced.length > 0 ? {} : { costNanoUsd: cost.nanoUsd }),
    durationMs: Math.round(performance.now() - startedMs),
  };
}

/** The refusal is written after the settlement. */
function toStatus({ response, dialect, gone }: Exchange, refusal: Refusal | undefined): number {
  if (response.headersSent) return response.statusCode;
  return refusal === undefined || gone ? clientClosedRequest : toRefusalStatus(refusal, dialect);
}

/** Only answers that came to their own end: one that was broken off says nothing of how long they are. */
function learn({ key, shape, usage, surface, abortedBy }: Exchange, { learntOutputs }: Parts): void {
  const model = shape?.model;
  if (key === undefined || model === undefined || usage === undefined || abortedBy !== undefined || surface.operation !== 'chat') return;
  learntOutputs.note(key.record.id, model, usage.outputTokens);
}
