import { formatNanoUsd } from '../../core/money.ts';
import type { Refusal } from '../../core/refusals.ts';
import type { CredentialEntry, KeyLimits, KeyRecord } from '../../core/snapshot.ts';
import { answerWhole, toAnswerHeaders } from '../answers/answer.ts';
import { toBudgetLimits } from '../reservations/budget-limits.ts';
import type { PeekAnswer, PeekQuestion } from '../counters/counters.ts';
import { type Exchange, required } from '../exchange.ts';
import { allLimitWindows } from '../reservations/limit-windows.ts';
import type { Parts } from '../parts.ts';

type Figures = Extract<PeekAnswer, { outcome: 'known' }>;

/** `GET /v1/keys/self`: what the key that asks is, what it may use and what it has used. Changes nothing, and counts against nothing. */
export async function describeKey(exchange: Exchange, parts: Parts): Promise<Refusal | undefined> {
  const { record } = required(exchange.key);
  const figures = await look(record, parts);
  if (figures === undefined) {
    return { code: 'limiter_unavailable', message: 'What this key has used is not known at this moment.', retryAfterMs: 1000 };
  }
  exchange.degraded = figures.degraded;
  const { request, response } = exchange;
  answerWhole({
    request,
    response,
    status: 200,
    headers: ['content-type', 'application/json', 'cache-control', 'no-store', ...toAnswerHeaders(exchange)],
    body: JSON.stringify(toDescription(record, required(exchange.credential), figures)),
  });
  exchange.firstByteMs = performance.now() - exchange.startedMs;
  return undefined;
}

async function look(record: KeyRecord, { counters, clock }: Parts): Promise<Figures | undefined> {
  const question = toQuestion(record);
  if (question.windows.length === 0 && question.concurrency === undefined && question.budgets === undefined) {
    return { outcome: 'known', timeMs: clock.now(), windows: [], inFlight: 0, budgets: [], degraded: false };
  }
  const answer = await counters.peek(question);
  return answer.outcome === 'known' ? answer : undefined;
}

function toQuestion(record: KeyRecord): PeekQuestion {
  const concurrency = record.limits?.concurrency;
  const budgets = toBudgetLimits(record);
  return {
    keyId: record.id,
    windows: allLimitWindows(record),
    ...(concurrency === undefined ? {} : { concurrency: { limit: concurrency, shadow: record.limits?.mode === 'Shadow' } }),
    ...(budgets.length === 0 ? {} : { budgets }),
  };
}

function toDescription(record: KeyRecord, credential: CredentialEntry, figures: Figures): object {
  const [namespace, name] = record.id.split('/', 2);
  return {
    id: record.id,
    namespace,
    name,
    prefix: credential.prefix,
    state: record.state,
    credential: credential.state,
    expiresAt: toExpiry(record, credential),
    asOf: toText(figures.timeMs),
    degraded: figures.degraded,
    limits: [...toWindowLimits(record.limits, figures), ...toConcurrency(record.limits, figures)],
    budgets: toBudgets(record, figures),
  };
}

/** The end that comes first: of the key itself, or of the overlap of a credential that was replaced. */
function toExpiry({ expiresAt }: KeyRecord, { notAfter }: CredentialEntry): string | null {
  const ends = [expiresAt, notAfter].filter((end) => end !== undefined);
  return ends.length === 0 ? null : toText(Math.min(...ends));
}

function toWindowLimits(limits: KeyLimits | undefined, { windows, timeMs }: Figures): object[] {
  return windows.map(({ name, unit, span, limit, used, remaining, resetMs }) => ({
    name,
    unit,
    window: span,
    limit,
    used,
    remaining,
    resetsAt: toText(timeMs + resetMs),
    mode: limits?.mode ?? 'Enforce',
  }));
}

/** It frees when a request ends, and nobody knows when that is. */
function toConcurrency(limits: KeyLimits | undefined, { inFlight }: Figures): object[] {
  const limit = limits?.concurrency;
  if (limit === undefined) return [];
  const remaining = Math.max(0, limit - inFlight);
  return [{ name: 'concurrency', unit: 'requests', window: 'now', limit, used: inFlight, remaining, mode: limits?.mode ?? 'Enforce' }];
}

/** Decimal US dollars as text, as in the manifest. */
function toBudgets({ budgets = [] }: KeyRecord, figures: Figures): object[] {
  return figures.budgets.map(({ period, window, limitNanoUsd, spentNanoUsd, reservedNanoUsd, resetMs }) => ({
    period,
    window,
    limit: formatNanoUsd(limitNanoUsd),
    spent: formatNanoUsd(spentNanoUsd),
    reserved: formatNanoUsd(reservedNanoUsd),
    remaining: formatNanoUsd(Math.max(0, limitNanoUsd - spentNanoUsd - reservedNanoUsd)),
    resetsAt: resetMs === undefined ? null : toText(figures.timeMs + resetMs),
    mode: budgets.find((budget) => budget.period === period)?.mode ?? 'Enforce',
  }));
}

function toText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
