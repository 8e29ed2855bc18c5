import { type Dialect, type Refusal, type RefusalForm, refusals } from './refusals.ts';

export interface RefusalAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/**
 * A refusal in the exact shape of the provider's own errors, so that the official SDK of the dialect raises its right exception.
 * OpenAI `{"error":{message,type,param,code}}`; Anthropic `{"type":"error","error":{…},"request_id"}`; Gemini a `google.rpc.Status`.
 */
export function toRefusalAnswer(refusal: Refusal, dialect: Dialect, requestId: string): RefusalAnswer {
  const form = refusals[refusal.code];
  const headers = {
    'content-type': 'application/json',
    'x-request-id': requestId,
    ...(dialect === 'Anthropic' ? { 'request-id': requestId } : {}),
    ...toRetryHeaders(refusal, form),
  };
  return { status: toRefusalStatus(refusal, dialect), headers, body: JSON.stringify(toBody(refusal, dialect, requestId)) };
}

/** How a stream is written: that of OpenAI's Responses API has errors of its own, numbered as all of its events are. */
export interface StreamForm {
  readonly dialect: Dialect;
  /** of the Responses API: number of the next event; absent for every other stream */
  readonly sequenceNumber?: number | undefined;
}

/**
 * What is written into an event stream that has begun, when its 200 is long gone; a whole event with its blank line. Where the upstream may have
 * left an event half written, the caller puts a blank line in front. Source of the third form: OpenAI API reference, "Streaming events", "error".
 */
export function toStreamRefusal(refusal: Refusal, { dialect, sequenceNumber }: StreamForm, requestId: string): string {
  if (dialect === 'OpenAI' && sequenceNumber !== undefined) {
    const error = { type: 'error', code: refusal.code, message: toMessage(refusal, requestId), param: refusal.param ?? null };
    return `event: error\ndata: ${JSON.stringify({ ...error, sequence_number: sequenceNumber })}\n\n`;
  }
  const data = `data: ${JSON.stringify(toBody(refusal, dialect, requestId))}\n\n`;
  return dialect === 'Anthropic' ? `event: error\n${data}` : data;
}

/** The HTTP status of a refusal. */
export function toRefusalStatus(refusal: Refusal, dialect: Dialect): number {
  const form = refusals[refusal.code];
  if (dialect === 'Anthropic') return form.anthropicStatus ?? form.status;
  if (dialect === 'OpenAI') return form.status;
  return isMissingKey(refusal) ? 403 : (form.geminiHttp ?? form.status);
}

/** Gemini tells a request without any key from one with a wrong key. */
function isMissingKey(refusal: Refusal): boolean {
  return refusal.code === 'invalid_api_key' && refusal.missing === true;
}

/** `retry-after-ms` and `x-should-retry` are read by the SDKs of OpenAI and Anthropic, `retry-after` (RFC 9110 §10.2.3, whole seconds) by all. */
function toRetryHeaders(refusal: Refusal, form: RefusalForm): Record<string, string> {
  const headers: Record<string, string> = {};
  if (refusal.retryAfterMs !== undefined) {
    headers['retry-after-ms'] = String(Math.ceil(refusal.retryAfterMs));
    headers['retry-after'] = String(Math.ceil(refusal.retryAfterMs / 1000));
  }
  if (!mayRetry(refusal, form)) headers['x-should-retry'] = 'false';
  return headers;
}

function mayRetry(refusal: Refusal, form: RefusalForm): boolean {
  return form.retry !== false && refusal.shouldRetry !== false;
}

function toBody(refusal: Refusal, dialect: Dialect, requestId: string): unknown {
  const form = refusals[refusal.code];
  const message = toMessage(refusal, requestId);
  if (dialect === 'Anthropic') {
    const details = refusal.code === 'insufficient_quota' ? { details: { error_code: 'spend_limit_reached' } } : {};
    return { type: 'error', error: { type: form.anthropicType, message, ...details }, request_id: requestId };
  }
  if (dialect === 'Gemini') {
    const status = isMissingKey(refusal) ? 'PERMISSION_DENIED' : form.geminiStatus;
    return { error: { code: toRefusalStatus(refusal, 'Gemini'), message, status, details: toGeminiDetails(refusal, form) } };
  }
  return { error: { message, type: toOpenAIType(refusal, form), param: refusal.param ?? null, code: refusal.code } };
}

/** What a bug has to say belongs into the log; the request id leads there. */
function toMessage(refusal: Refusal, requestId: string): string {
  return refusal.code === 'internal' ? `unexpected error (request ${requestId})` : refusal.message;
}

function toOpenAIType(refusal: Refusal, form: RefusalForm): string {
  if (form.openaiType !== '') return form.openaiType;
  return refusal.unit === 'tokens' ? 'tokens' : 'requests';
}

/** The details that Google's clients read: ErrorInfo, QuotaFailure and RetryInfo. Source: google/rpc/error_details.proto, AIP-193. */
function toGeminiDetails(refusal: Refusal, form: RefusalForm): unknown[] {
  const details: unknown[] = [toErrorInfo(refusal, form)];
  if (refusal.code === 'rate_limit_exceeded') {
    const violation = { subject: refusal.unit ?? 'requests', description: refusal.message };
    details.push({ '@type': 'type.googleapis.com/google.rpc.QuotaFailure', violations: [violation] });
  }
  if (refusal.retryAfterMs !== undefined && mayRetry(refusal, form)) {
    const seconds = (Math.ceil(refusal.retryAfterMs) / 1000).toFixed(3);
    details.push({ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${seconds}s` });
  }
  return details;
}

function toErrorInfo(refusal: Refusal, form: RefusalForm): unknown {
  const type = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo' };
  if (form.geminiReason === undefined || isMissingKey(refusal)) {
    return { ...type, reason: isMissingKey(refusal) ? 'API_KEY_MISSING' : refusal.code.toUpperCase(), domain: 'keywright.dev' };
  }
  return { ...type, reason: form.geminiReason, domain: 'googleapis.com', metadata: { service: 'generativelanguage.googleapis.com' } };
}
