import { nanoUsdPerUsd } from '../../core/money.ts';
import type { Refusal, RefusalCode } from '../../core/refusals.ts';
import { type AccessLine, writeAccessLine } from '../access-log.ts';
import { clientClosedRequest, type Exchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { toShownCost } from '../reservations/cost-so-far.ts';
import { namespaceOf } from '../../core/namespace-of.ts';

/** Stage 7: metrics and one access line. Runs once for every request, last. */
export function record(exchange: Exchange, parts: Parts, refusal: Refusal | undefined): void {
  const status = exchange.response.headersSent ? exchange.response.statusCode : clientClosedRequest;
  const outcome = { status, refusal: refusal?.code ?? exchange.ended?.code, durationMs: performance.now() - exchange.startedMs };
  count(exchange, parts, outcome);
  writeAccessLine(parts.log, toAccessLine(exchange, outcome));
}

function toAccessLine(exchange: Exchange, { status, refusal, durationMs }: Outcome): AccessLine {
  const { shape, usage, firstByteMs } = exchange;
  return {
    request_id: exchange.requestId,
    key: exchange.key?.record.id,
    prefix: exchange.credential?.prefix,
    client_address: exchange.clientAddress,
    dialect: exchange.dialect,
    surface: exchange.surface.name,
    // checked against the pattern of model names when the body was read
    model: shape?.model,
    channel: exchange.channel?.id,
    status,
    refusal,
    aborted_by: exchange.abortedBy,
    stream: shape?.stream,
    input_tokens: usage?.inputTokens,
    output_tokens: usage?.outputTokens,
    cost_usd: toShownCost(exchange.cost),
    limiter_time_ms: exchange.limiterTimeMs,
    degraded: exchange.degraded ? true : undefined,
    duration_ms: round(durationMs),
    ...(firstByteMs === undefined ? {} : { ttfb_ms: round(firstByteMs), overhead_ms: round(firstByteMs - exchange.upstreamMs) }),
    attempts: exchange.attempts,
    tags: exchange.key?.record.tags,
  };
}

interface Outcome {
  readonly status: number;
  readonly refusal: RefusalCode | undefined;
  readonly durationMs: number;
}

function count(exchange: Exchange, { metrics, lastUsed }: Parts, { status, refusal, durationMs }: Outcome): void {
  const { credential, dialect, firstByteMs } = exchange;
  const record = exchange.key?.record;
  const key = record === undefined ? '' : metrics.ownedKeyLabel(record);
  if (refusal !== undefined) metrics.refusals.inc({ key, reason: refusal });
  metrics.duration.observe({ dialect }, durationMs / 1000);
  if (firstByteMs !== undefined) {
    metrics.timeToFirstByte.observe({ dialect }, firstByteMs / 1000);
    metrics.overhead.observe({ dialect }, Math.max(0, firstByteMs - exchange.upstreamMs) / 1000);
  }
  if (exchange.abortedBy !== undefined) metrics.streamsAborted.inc({ side: exchange.abortedBy });
  if (exchange.channel !== undefined)
    metrics.channelRequests.inc({ channel: exchange.channel.id, model: toKnownModel(exchange), dialect, status });
  countCost(exchange, metrics, key);
  if (record !== undefined) countOfKey(exchange, metrics, { key, status });
  if (record !== undefined && credential?.state === 'Retiring') lastUsed.note({ keyId: record.id, credentialId: credential.id });
}

function countOfKey(
  { credential, usage }: Exchange,
  metrics: Parts['metrics'],
  { key, status }: { readonly key: string; readonly status: number },
): void {
  metrics.requests.inc({ namespace: key === 'other' ? 'other' : namespaceOf(key), key, status_class: `${Math.floor(status / 100)}xx` });
  if (credential?.state === 'Retiring') metrics.retiringRequests.inc({ key });
  if (usage === undefined) return;
  metrics.tokens.inc({ key, kind: 'input' }, usage.inputTokens);
  metrics.tokens.inc({ key, kind: 'cached_input' }, usage.cachedInputTokens);
  metrics.tokens.inc({ key, kind: 'cache_write' }, usage.cacheWriteTokens);
  metrics.tokens.inc({ key, kind: 'output' }, usage.outputTokens);
  metrics.tokens.inc({ key, kind: 'reasoning' }, usage.reasoningTokens);
}

/** A double is exact to the nano-dollar only up to nine million dollars: counters are for graphs, accounts are kept in integers elsewhere. */
function countCost(exchange: Exchange, metrics: Parts['metrics'], key: string): void {
  const { cost, channel } = exchange;
  if (cost === undefined) return;
  const usd = cost.nanoUsd / nanoUsdPerUsd;
  metrics.costUsd.inc({ key }, usd);
  if (channel === undefined) return;
  const labels = { channel: channel.id, model: toKnownModel(exchange) };
  metrics.channelCostUsd.inc(labels, usd);
  if (cost.unpriced.length > 0) metrics.unpricedRequests.inc(labels);
}

/** Clients choose model names; only those that stand in a Channel may become series. */
function toKnownModel({ shape, channel }: Exchange): string {
  const model = shape?.model;
  return model !== undefined && channel?.models?.some(({ name }) => name === model) === true ? model : 'other';
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}
