/** The wire format a request is written in, and so the shape of every answer to it. */
export type Dialect = 'OpenAI' | 'Anthropic' | 'Gemini';

export type RefusalCode =
  | 'invalid_api_key'
  | 'key_expired'
  | 'key_revoked'
  | 'key_suspended'
  | 'ip_not_allowed'
  | 'scope_not_allowed'
  | 'model_not_allowed'
  | 'model_not_priced'
  | 'key_not_ready'
  | 'model_not_found'
  | 'channel_not_found'
  | 'endpoint_not_supported'
  | 'not_found'
  | 'rate_limit_exceeded'
  | 'insufficient_quota'
  | 'upstream_rate_limited'
  | 'too_many_attempts'
  | 'invalid_request'
  | 'conflicting_keys'
  | 'unsupported_reference'
  | 'method_not_allowed'
  | 'request_too_large'
  | 'unsupported_encoding'
  | 'headers_too_large'
  | 'upstream_unavailable'
  | 'upstream_timeout'
  | 'limiter_unavailable'
  | 'overloaded'
  | 'not_ready'
  | 'internal';

/** A deliberate no. A value, never thrown. */
export interface Refusal {
  readonly code: RefusalCode;
  /** one sentence for the client: what refused it and, if it frees, when; never hosts, CIDRs, other tenants or secrets */
  readonly message: string;
  /** the request field that is at fault (OpenAI `param`) */
  readonly param?: string;
  /** what a rate refusal counts: it decides OpenAI's `type` (`requests` or `tokens`) */
  readonly unit?: 'requests' | 'tokens' | 'concurrency';
  /** time until it may fit; becomes `retry-after-ms` and `retry-after` */
  readonly retryAfterMs?: number;
  /** false sends `x-should-retry: false`, so that no SDK retries what cannot succeed soon */
  readonly shouldRetry?: boolean;
  /** distinguishes "no key at all" from "a wrong key" where a dialect does (Gemini) */
  readonly missing?: boolean;
}

/** How one code is answered in each dialect; docs/refusals.md is compared with this table. */
export interface RefusalForm {
  /** for the documentation */
  readonly when: string;
  readonly status: number;
  /** `''`: decided by what was counted (`requests` or `tokens`; concurrency counts requests) */
  readonly openaiType: string;
  readonly anthropicType: string;
  /** Anthropic's own status where it has one (529 overloaded) */
  readonly anthropicStatus?: number;
  readonly geminiStatus: string;
  /** Gemini's own HTTP status where it differs */
  readonly geminiHttp?: number;
  /** a reason of Google's own (`googleapis.com`), which its clients know; other codes give theirs in capitals */
  readonly geminiReason?: string;
  /** false: `x-should-retry: false` always */
  readonly retry?: false;
}

const badRequest = {
  openaiType: 'invalid_request_error',
  anthropicType: 'invalid_request_error',
  geminiStatus: 'INVALID_ARGUMENT',
} as const;
const forbidden = {
  status: 403,
  openaiType: 'permission_error',
  anthropicType: 'permission_error',
  geminiStatus: 'PERMISSION_DENIED',
} as const;
const unknownThing = {
  status: 404,
  openaiType: 'invalid_request_error',
  anthropicType: 'not_found_error',
  geminiStatus: 'NOT_FOUND',
} as const;
const rate = { status: 429, openaiType: 'requests', anthropicType: 'rate_limit_error', geminiStatus: 'RESOURCE_EXHAUSTED' } as const;
const unavailable = { status: 503, openaiType: 'server_error', anthropicType: 'api_error', geminiStatus: 'UNAVAILABLE' } as const;
const overload = { ...unavailable, anthropicType: 'overloaded_error', anthropicStatus: 529 } as const;
const badKey = {
  status: 401,
  openaiType: 'invalid_request_error',
  anthropicType: 'authentication_error',
  geminiStatus: 'INVALID_ARGUMENT',
  geminiHttp: 400,
} as const;

/** Never 408, 409 or 501 among them: SDKs retry those. */
export const refusals: Readonly<Record<RefusalCode, RefusalForm>> = {
  invalid_api_key: { ...badKey, when: 'no key, an unknown one, a malformed one', geminiReason: 'API_KEY_INVALID' },
  key_expired: { ...badKey, when: 'the key has expired, is not yet valid, or its overlap is over', geminiReason: 'API_KEY_EXPIRED' },
  key_revoked: { ...forbidden, when: 'the key was revoked' },
  key_suspended: { ...forbidden, when: 'the key is suspended' },
  ip_not_allowed: { ...forbidden, when: 'the client address is not among `access.cidrs`' },
  scope_not_allowed: { ...forbidden, when: 'the key lacks the scope of the endpoint' },
  model_not_allowed: { ...forbidden, when: 'a model that the request names is not among `access.models`' },
  model_not_priced: { ...forbidden, when: 'the key has a budget and the model has no price' },
  key_not_ready: { ...unavailable, when: 'the VirtualKey was never accepted' },
  model_not_found: { ...unknownThing, when: 'no Channel that the key may use serves the model, or no provider of them knows it' },
  channel_not_found: { ...unknownThing, when: 'no Channel that the key may use serves the dialect' },
  endpoint_not_supported: { ...unknownThing, when: 'an endpoint of the provider that Keywright does not offer' },
  not_found: { ...unknownThing, when: 'no such path, or no object with this id that the key was shown' },
  rate_limit_exceeded: { ...rate, when: 'rpm, rpd, concurrency (`requests`), tpm, tpd (`tokens`)', openaiType: '' },
  insufficient_quota: { ...rate, when: 'a budget is used up', openaiType: 'insufficient_quota', retry: false },
  upstream_rate_limited: { ...rate, when: 'every channel is throttled, or its own limits are full' },
  // An unknown key stays unknown however often an SDK repeats it; a valid one is never refused with this.
  too_many_attempts: { ...rate, when: 'too many unknown keys from one address', retry: false },
  invalid_request: { ...badRequest, status: 400, when: 'a request that cannot be understood in one way only' },
  conflicting_keys: { ...badRequest, status: 400, when: 'two different keys in one request' },
  unsupported_reference: { ...badRequest, status: 400, when: 'a reference to a stored object that Keywright does not map' },
  method_not_allowed: { ...badRequest, status: 405, when: 'the path exists, the method does not' },
  request_too_large: {
    ...badRequest,
    status: 413,
    when: 'the body is over `KEYWRIGHT_MAX_BODY_BYTES`, or holds more than 1,000,000 JSON values',
    anthropicType: 'request_too_large',
  },
  unsupported_encoding: { ...badRequest, status: 415, when: 'a content type or coding that is not read' },
  headers_too_large: { ...badRequest, status: 431, when: 'headers over 16 KiB' },
  upstream_unavailable: { ...unavailable, when: 'every channel failed, cools down, or has an open breaker' },
  upstream_timeout: {
    ...unavailable,
    status: 504,
    when: 'no first byte in time',
    anthropicType: 'timeout_error',
    geminiStatus: 'DEADLINE_EXCEEDED',
  },
  limiter_unavailable: { ...overload, when: 'Redis is away and the policy is Closed, or it is not known whose stored object this is' },
  overloaded: { ...overload, when: 'the bound of requests in flight or of buffered bytes is reached' },
  not_ready: { ...unavailable, when: 'starting, or an unknown key while the snapshot may be stale' },
  internal: { ...unavailable, status: 500, when: 'a bug; the request id leads to the log', geminiStatus: 'INTERNAL' },
};
