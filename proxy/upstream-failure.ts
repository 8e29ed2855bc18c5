import type { Provider } from '../core/snapshot.ts';

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
  | 'throttled'
  | 'serverError'
  | 'requestFault';

/** Beginning of an error body that is looked at; errors are small. */
export const maxErrorBytes = 65_536;

/** Takes an answer's status (≥ 300) and the beginning of its body. Sources: OpenAI "Error codes", Anthropic "Errors". */
export function toUpstreamVerdict(provider: Provider, status: number, body: Buffer): UpstreamVerdict {
  if ((status === 429 || (status === 400 && provider === 'Anthropic')) && isBroke(body)) return 'accountBroke';
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

const brokeCodes: ReadonlySet<unknown> = new Set([
  'insufficient_quota',
  'billing_hard_limit_reached',
  'billing_not_active',
  'billing_error',
]);

function isBroke(body: Buffer): boolean {
  const error = parseError(body);
  if (error === undefined) return false;
  const message = typeof error.message === 'string' ? error.message : '';
  return brokeCodes.has(error.code) || brokeCodes.has(error.type) || /credit balance is too low/i.test(message);
}

function parseError(body: Buffer): { readonly code?: unknown; readonly type?: unknown; readonly message?: unknown } | undefined {
  try {
    const { error } = JSON.parse(body.toString('utf8')) as { error?: unknown };
    return typeof error === 'object' && error !== null ? error : undefined;
  } catch {
    return undefined;
  }
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
