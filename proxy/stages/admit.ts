import { estimateInputTokens, estimateTokens } from '../../core/estimate.ts';
import { formatNanoUsd } from '../../core/money.ts';
import { maximumNanoUsd } from '../../core/price.ts';
import { toRateHeaders } from '../../core/rate-headers.ts';
import type { Refusal } from '../../core/refusals.ts';
import type { Revocation } from '../../core/revocation.ts';
import { mostAttempts } from '../attempts/most-attempts.ts';
import { toBudgetLimits } from '../reservations/budget-limits.ts';
import type { Admission, AdmitAnswer, BudgetState, MoneyReservation, WindowState } from '../counters/counters.ts';
import { type Exchange, required } from '../exchange.ts';
import { toLimitWindows } from '../reservations/limit-windows.ts';
import { toOutputBound } from '../reservations/output-bound.ts';
import type { Parts } from '../parts.ts';
import { fixPrices } from '../reservations/fix-prices.ts';
import { toOverruledRefusal } from '../keys/revocations.ts';

/** How long the store holds a reservation that is neither renewed nor settled: a killed proxy frees its slots so fast. */
const holdMs = 30_000;

/**
 * Stage 3: one question to the store of limits, which checks all and then commits all. From an `admitted` answer on a reservation is held, and `settle` ends it.
 */
export function admit(exchange: Exchange, parts: Parts): Refusal | undefined | Promise<Refusal | undefined> {
  const unpriced = fixPrices(exchange, parts);
  if (unpriced !== undefined) return unpriced;
  const admission = toAdmission(exchange, parts);
  if (admission.windows.length === 0 && admission.concurrency === undefined && admission.money === undefined) {
    // nothing to ask, but what it uses will be told
    exchange.admission = admission;
    return undefined;
  }
  return ask(exchange, parts, admission);
}

function toAdmission(exchange: Exchange, parts: Parts): Admission {
  const { record } = required(exchange.key);
  const { model } = required(exchange.shape);
  const concurrency = record.limits?.concurrency;
  const money = toMoney(exchange);
  return {
    requestId: exchange.requestId,
    keyId: record.id,
    bearer: { uid: record.uid, gen: record.gen, credentialId: required(exchange.credential).id },
    windows: toLimitWindows(record, model),
    tokens: toTokens(exchange, parts),
    ...(concurrency === undefined ? {} : { concurrency: { limit: concurrency, shadow: record.limits?.mode === 'Shadow' } }),
    ...(money === undefined ? {} : { money }),
    holdMs,
  };
}

/** Attempts that are given up on the way to the answer are charged their input, so that room for those is reserved as well. */
function toMoney({ key, costBounds, candidates }: Exchange): MoneyReservation | undefined {
  const budgets = toBudgetLimits(required(key).record);
  if (budgets.length === 0 || costBounds === undefined) return undefined;
  const { boundNanoUsd, floorNanoUsd } = costBounds;
  const abandonedNanoUsd = Math.max(0, mostAttempts(candidates) - 1) * floorNanoUsd;
  return { budgets, boundNanoUsd: Math.min(maximumNanoUsd, boundNanoUsd + abandonedNanoUsd), floorNanoUsd };
}

/** Counting tokens is a request like any other, but it uses none. */
function toTokens(exchange: Exchange, { learntOutputs }: Parts): number {
  if (!exchange.surface.metered) return 0;
  exchange.estimatedInputTokens = estimateInputTokens(required(exchange.prompt));
  const { model, choices, estimatedOutputTokens } = required(exchange.shape);
  const learntOutputTokens = model === undefined ? undefined : learntOutputs.of(required(exchange.key).record.id, model);
  return estimateTokens({
    inputTokens: exchange.estimatedInputTokens,
    maxOutputTokens: toOutputBound(exchange),
    choices,
    learntOutputTokens: estimatedOutputTokens ?? learntOutputTokens,
  });
}

async function ask(exchange: Exchange, parts: Parts, admission: Admission): Promise<Refusal | undefined> {
  const answer = await parts.counters.admit(admission);
  if (answer.outcome === 'unavailable')
    return { code: 'limiter_unavailable', message: 'The limits of this key cannot be checked at this moment.', retryAfterMs: 1000 };
  exchange.limiterTimeMs = answer.timeMs;
  if (answer.outcome === 'overruled') return takeOver(exchange, parts, answer.revocations);
  exchange.degraded = answer.degraded;
  addRateHeaders(exchange, answer.windows, parts.clock.now());
  if (answer.outcome === 'refused') return toRefusal(answer);
  if (answer.outcome === 'exhausted') return toExhausted(answer.budget, admission.money?.boundNanoUsd ?? 0);
  exchange.admission = admission;
  const key = parts.metrics.keyLabel(admission.keyId);
  for (const reason of answer.shadowRefusals) parts.metrics.shadowRefusals.inc({ key, reason: toReason(reason) });
  return undefined;
}

/** What the store knows and nobody has told this proxy counts from now on, for all requests of the key and for its running streams. */
function takeOver(exchange: Exchange, parts: Parts, revocations: readonly Revocation[]): Refusal {
  for (const revocation of revocations) parts.revocations.take(revocation);
  const why = parts.revocations.overruling(required(exchange.key).record, required(exchange.credential).id);
  // the script and core read the same text: that they differ would be a bug, and then nobody is let in
  return toOverruledRefusal(why ?? 'Suspended');
}

function addRateHeaders(exchange: Exchange, windows: readonly WindowState[], nowMs: number): void {
  for (const [name, value] of Object.entries(toRateHeaders(windows, exchange.dialect, nowMs))) exchange.answerHeaders.push(name, value);
}

/** A metric's label: the glob of a model's limit would make it unbounded. */
function toReason(limitName: string): string {
  return limitName.split(':', 1)[0] ?? limitName;
}

const nouns = { requests: 'requests', tokens: 'tokens', concurrency: 'requests at the same time' } as const;
const spans = { minute: ' per minute', day: ' per day', now: '' } as const;

function toRefusal(answer: Extract<AdmitAnswer, { outcome: 'refused' }>): Refusal {
  const { limitName, unit, span, limit, retryAfterMs } = answer;
  const amount = `${limit} ${nouns[unit]}${spans[span]}`;
  // nothing frees it, so that there is no time to come back at
  if (limit === 0) {
    const message = `The limit ${limitName} of this key lets nothing in: ${amount}.`;
    return { code: 'rate_limit_exceeded', message, unit, shouldRetry: false };
  }
  return {
    code: 'rate_limit_exceeded',
    message: `The limit ${limitName} of this key is reached: ${amount}. Try again in ${toSeconds(retryAfterMs)}.`,
    unit,
    retryAfterMs,
    // SDKs would wait for hours in silence
    ...(span === 'day' ? { shouldRetry: false } : {}),
  };
}

/** The bound is named, since a request may be refused for what it might cost while there is some left. What a whole budget does not hold is no better off when it renews. */
function toExhausted({ period, limitNanoUsd, spentNanoUsd, reservedNanoUsd, resetMs }: BudgetState, boundNanoUsd: number): Refusal {
  if (boundNanoUsd > limitNanoUsd) {
    const amounts = `This request may cost ${formatNanoUsd(boundNanoUsd)} USD, and the whole ${period} budget of this key is ${formatNanoUsd(limitNanoUsd)} USD.`;
    return { code: 'insufficient_quota', message: `${amounts} A shorter one may fit.`, shouldRetry: false };
  }
  const frees = resetMs === undefined ? 'It does not renew by itself.' : `It renews in ${toSeconds(resetMs)}.`;
  const left = Math.max(0, limitNanoUsd - spentNanoUsd - reservedNanoUsd);
  return {
    code: 'insufficient_quota',
    message:
      `The ${period} budget of this key is used up: of ${formatNanoUsd(limitNanoUsd)} USD ${formatNanoUsd(left)} USD are left, ` +
      `and this request may cost ${formatNanoUsd(boundNanoUsd)} USD. ${frees}`,
    ...(resetMs === undefined ? {} : { retryAfterMs: resetMs }),
    shouldRetry: false,
  };
}

function toSeconds(milliseconds: number): string {
  return `${Math.ceil(milliseconds / 100) / 10} s`;
}
