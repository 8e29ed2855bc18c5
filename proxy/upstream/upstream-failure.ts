import type { Provider } from '../../core/snapshot.ts';
import { readFailureBody } from './failure-body.ts';
import { failureRules } from './failure-rules.ts';
import { firstValue, type ReceivedHeaders } from '../headers.ts';

/**
 * What an error answer of a provider means for us. Only a `requestFault` is the client's business; the other bodies speak of an account and its keys, which are not the
 * client's.
 */
export type UpstreamVerdict =
  /** the provider refuses our credential */
  | 'credentialDead'
  /** the account behind the credential has no money or quota left */
  | 'accountBroke'
  /** this credential may not use this model, or this region may not use the provider */
  | 'modelForbidden'
  /** the provider does not know this model, for this account at least: another channel may */
  | 'modelUnknown'
  | 'throttled'
  /** no throttle of a minute: what this model may use in a day, say, is used up, or too small for the request */
  | 'quotaSpent'
  | 'serverError'
  | 'requestFault';

/** Beginning of an error body that is looked at; errors are small. */
export const maxErrorBytes = 65_536;

/** What is to be done about an error answer. */
export interface UpstreamFailure {
  readonly verdict: UpstreamVerdict;
  /** the request alone is the reason: no credential or model cools down for it */
  readonly ofRequest: boolean;
  /** how long the provider wants to be left alone, as far as it says */
  readonly retryAfterMs: number | undefined;
}

/** An error answer: its status (≥ 300), the beginning of its body, and the wait that its headers ask for. */
export interface ErrorAnswer {
  readonly status: number;
  readonly body: Buffer;
  readonly retryAfterMs?: number | undefined;
}

/**
 * Limits of a minute are free again after one. Who asks for more speaks of a day or a month, and may mean the request: Azure says 86,400 s where a quota of tokens is used up, and also where one
 * request asks for more tokens than the deployment has in a minute.
 */
const longestThrottleMs = 120_000;

/** The first rule of the provider that fits decides; without one the status does. */
export function toUpstreamFailure(provider: Provider, { status, body, retryAfterMs: told }: ErrorAnswer): UpstreamFailure {
  const { codes, message, ...said } = readFailureBody(body);
  const retryAfterMs = told ?? said.retryAfterMs;
  // a page of somebody in between, whom the content of this request has set off
  const isUnreadable = status === 403 && codes.size === 0 && message === '';
  const rule = failureRules[provider].find(
    (candidate) =>
      candidate.statuses.includes(status) &&
      (candidate.codes?.some((code) => codes.has(code)) === true || candidate.message?.test(message) === true),
  );
  const ofRequest = rule?.ofRequest === true || isUnreadable;
  const verdict = rule?.verdict ?? verdictOfStatus(status);
  const isLong = verdict === 'throttled' && !ofRequest && (retryAfterMs ?? 0) > longestThrottleMs;
  return { verdict: isLong ? 'quotaSpent' : verdict, ofRequest, retryAfterMs };
}

function verdictOfStatus(status: number): UpstreamVerdict {
  // redirects are not followed: they would carry the credential to another place
  return byStatus[status] ?? (status >= 500 || status < 400 ? 'serverError' : 'requestFault');
}

/** 408 and 409 would be retried by SDKs, which is our part. */
const byStatus: Readonly<Record<number, UpstreamVerdict>> = {
  401: 'credentialDead',
  402: 'accountBroke',
  403: 'modelForbidden',
  407: 'credentialDead',
  408: 'serverError',
  409: 'serverError',
  429: 'throttled',
};

/** What the headers of an answer ask for. */
export function readRetryAfterMs(headers: ReceivedHeaders, nowMs: number): number | undefined {
  return parseRetryAfterMs({ retryAfter: firstValue(headers['retry-after']), retryAfterMs: firstValue(headers['retry-after-ms']) }, nowMs);
}

/** When a throttled provider wants to be asked again; undefined when it does not say. RFC 9110 section 10.2.3; `retry-after-ms` is OpenAI's. */
export function parseRetryAfterMs(
  headers: { readonly retryAfter: string | undefined; readonly retryAfterMs: string | undefined },
  nowMs: number,
): number | undefined {
  const milliseconds = Number(headers.retryAfterMs);
  if (headers.retryAfterMs !== undefined && Number.isFinite(milliseconds) && milliseconds >= 0) return Math.ceil(milliseconds);
  const { retryAfter } = headers;
  if (retryAfter === undefined || retryAfter.trim() === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(retryAfter.trim())) return Math.ceil(Number(retryAfter) * 1000);
  // Date.parse takes much that is no HTTP date
  const date = /[a-z]{3}/i.test(retryAfter) ? Date.parse(retryAfter) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
