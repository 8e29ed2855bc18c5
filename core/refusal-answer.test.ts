import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toRefusalAnswer, toStreamRefusal } from './refusal-answer.ts';
import { type Dialect, type Refusal, type RefusalCode, refusals } from './refusals.ts';

const codes = Object.keys(refusals) as RefusalCode[];
const dialects: Dialect[] = ['OpenAI', 'Anthropic', 'Gemini'];

/** code → [status, OpenAI type, Anthropic status, Anthropic type, Gemini HTTP, Gemini status]: the table of the data plane, written out once more */
const table: Record<RefusalCode, readonly [number, string, number, string, number, string]> = {
  invalid_api_key: [401, 'invalid_request_error', 401, 'authentication_error', 400, 'INVALID_ARGUMENT'],
  key_expired: [401, 'invalid_request_error', 401, 'authentication_error', 400, 'INVALID_ARGUMENT'],
  key_revoked: [403, 'permission_error', 403, 'permission_error', 403, 'PERMISSION_DENIED'],
  key_suspended: [403, 'permission_error', 403, 'permission_error', 403, 'PERMISSION_DENIED'],
  ip_not_allowed: [403, 'permission_error', 403, 'permission_error', 403, 'PERMISSION_DENIED'],
  scope_not_allowed: [403, 'permission_error', 403, 'permission_error', 403, 'PERMISSION_DENIED'],
  model_not_allowed: [403, 'permission_error', 403, 'permission_error', 403, 'PERMISSION_DENIED'],
  model_not_priced: [403, 'permission_error', 403, 'permission_error', 403, 'PERMISSION_DENIED'],
  key_not_ready: [503, 'server_error', 503, 'api_error', 503, 'UNAVAILABLE'],
  model_not_found: [404, 'invalid_request_error', 404, 'not_found_error', 404, 'NOT_FOUND'],
  channel_not_found: [404, 'invalid_request_error', 404, 'not_found_error', 404, 'NOT_FOUND'],
  endpoint_not_supported: [404, 'invalid_request_error', 404, 'not_found_error', 404, 'NOT_FOUND'],
  not_found: [404, 'invalid_request_error', 404, 'not_found_error', 404, 'NOT_FOUND'],
  rate_limit_exceeded: [429, 'requests', 429, 'rate_limit_error', 429, 'RESOURCE_EXHAUSTED'],
  insufficient_quota: [429, 'insufficient_quota', 429, 'rate_limit_error', 429, 'RESOURCE_EXHAUSTED'],
  upstream_rate_limited: [429, 'requests', 429, 'rate_limit_error', 429, 'RESOURCE_EXHAUSTED'],
  too_many_attempts: [429, 'requests', 429, 'rate_limit_error', 429, 'RESOURCE_EXHAUSTED'],
  invalid_request: [400, 'invalid_request_error', 400, 'invalid_request_error', 400, 'INVALID_ARGUMENT'],
  conflicting_keys: [400, 'invalid_request_error', 400, 'invalid_request_error', 400, 'INVALID_ARGUMENT'],
  unsupported_reference: [400, 'invalid_request_error', 400, 'invalid_request_error', 400, 'INVALID_ARGUMENT'],
  method_not_allowed: [405, 'invalid_request_error', 405, 'invalid_request_error', 405, 'INVALID_ARGUMENT'],
  request_too_large: [413, 'invalid_request_error', 413, 'request_too_large', 413, 'INVALID_ARGUMENT'],
  unsupported_encoding: [415, 'invalid_request_error', 415, 'invalid_request_error', 415, 'INVALID_ARGUMENT'],
  headers_too_large: [431, 'invalid_request_error', 431, 'invalid_request_error', 431, 'INVALID_ARGUMENT'],
  upstream_unavailable: [503, 'server_error', 503, 'api_error', 503, 'UNAVAILABLE'],
  upstream_timeout: [504, 'server_error', 504, 'timeout_error', 504, 'DEADLINE_EXCEEDED'],
  limiter_unavailable: [503, 'server_error', 529, 'overloaded_error', 503, 'UNAVAILABLE'],
  overloaded: [503, 'server_error', 529, 'overloaded_error', 503, 'UNAVAILABLE'],
  not_ready: [503, 'server_error', 503, 'api_error', 503, 'UNAVAILABLE'],
  internal: [500, 'server_error', 500, 'api_error', 500, 'INTERNAL'],
};

const read = (refusal: Refusal, dialect: Dialect) => {
  const answer = toRefusalAnswer(refusal, dialect, 'req_1');
  return { ...answer, json: JSON.parse(answer.body) };
};

describe('the table of refusals', () => {
  it('has the codes of the data plane and no others', () => expect(codes.toSorted()).toEqual(Object.keys(table).toSorted()));

  it.each(codes)('%s has its status and type in every dialect', (code) => {
    const refusal: Refusal = { code, message: 'Because.' };
    const [status, type, anthropicStatus, anthropicType, geminiHttp, geminiStatus] = table[code];
    const openai = read(refusal, 'OpenAI');
    expect([openai.status, openai.json.error.type, openai.json.error.code]).toEqual([status, type, code]);
    const anthropic = read(refusal, 'Anthropic');
    expect([anthropic.status, anthropic.json.type, anthropic.json.error.type]).toEqual([anthropicStatus, 'error', anthropicType]);
    const gemini = read(refusal, 'Gemini');
    expect([gemini.status, gemini.json.error.code, gemini.json.error.status]).toEqual([geminiHttp, geminiHttp, geminiStatus]);
  });

  it('never has a status that SDKs retry against our will, and no 401 or 403 for trouble of the infrastructure', () => {
    for (const code of codes) {
      for (const dialect of dialects) {
        const { status } = read({ code, message: '' }, dialect);
        expect([400, 401, 403, 404, 405, 413, 415, 429, 431, 500, 503, 504, 529]).toContain(status);
      }
    }
  });

  it.each(dialects)('has exactly the shape of %s, whole and in a stream, whatever the message', (dialect) => {
    const refusalsOf = fc.record(
      {
        code: fc.constantFrom(...codes),
        message: fc.string({ unit: 'binary' }),
        param: fc.string(),
        unit: fc.constantFrom('requests', 'tokens', 'concurrency'),
        retryAfterMs: fc.double({ min: 0, max: 1e11, noNaN: true }),
        shouldRetry: fc.boolean(),
        missing: fc.boolean(),
      },
      { requiredKeys: ['code', 'message'] },
    ) as fc.Arbitrary<Refusal>;
    const shapes: Record<Dialect, readonly [string[], string[]]> = {
      OpenAI: [['error'], ['message', 'type', 'param', 'code']],
      Anthropic: [
        ['type', 'error', 'request_id'],
        ['type', 'message'],
      ],
      Gemini: [['error'], ['code', 'message', 'status', 'details']],
    };
    fc.assert(
      fc.property(refusalsOf, (refusal) => {
        const { json, body, headers } = read(refusal, dialect);
        const [outer, inner] = shapes[dialect];
        const extra = dialect === 'Anthropic' && refusal.code === 'insufficient_quota' ? ['details'] : [];
        expect(Object.keys(json)).toEqual(outer);
        expect(Object.keys(json.error)).toEqual([...inner, ...extra]);
        const message = refusal.code === 'internal' ? 'unexpected error (request req_1)' : refusal.message;
        expect(json.error.message).toBe(JSON.parse(JSON.stringify(message)));
        // No line break of a message may end the event early.
        const lines = toStreamRefusal(refusal, { dialect }, 'req_1').split('\n');
        expect(lines.slice(dialect === 'Anthropic' ? 1 : 0)).toEqual([`data: ${body}`, '', '']);
        for (const value of Object.values(headers)) expect(value).toMatch(/^[\x20-\x7e]*$/);
      }),
    );
  });
});

describe('headers of a refusal', () => {
  it('name the request, twice for Anthropic', () => {
    expect(read({ code: 'not_found', message: '' }, 'OpenAI').headers).toEqual({
      'content-type': 'application/json',
      'x-request-id': 'req_1',
    });
    expect(read({ code: 'not_found', message: '' }, 'Anthropic').headers).toMatchObject({ 'x-request-id': 'req_1', 'request-id': 'req_1' });
  });

  it.each([
    [0.2, '1', '1'],
    [1, '1', '1'],
    [1000, '1000', '1'],
    [1000.5, '1001', '2'],
    [60_000, '60000', '60'],
  ])('tell to come back after %s ms, never early', (retryAfterMs, milliseconds, seconds) => {
    const { headers } = read({ code: 'rate_limit_exceeded', message: '', retryAfterMs }, 'OpenAI');
    expect([headers['retry-after-ms'], headers['retry-after']]).toEqual([milliseconds, seconds]);
  });

  it('forbid retries where no retry can help, and nothing can allow them again', () => {
    const silent = codes.filter((code) => read({ code, message: '', shouldRetry: true }, 'OpenAI').headers['x-should-retry'] === 'false');
    expect(silent).toEqual(['insufficient_quota', 'too_many_attempts']);
    const day: Refusal = { code: 'rate_limit_exceeded', message: '', retryAfterMs: 9e6, shouldRetry: false };
    expect(read(day, 'Anthropic').headers).toMatchObject({ 'x-should-retry': 'false', 'retry-after': '9000' });
  });
});

describe('particulars of the dialects', () => {
  it.each([
    ['requests', 'requests'],
    ['tokens', 'tokens'],
    ['concurrency', 'requests'],
  ] as const)('OpenAI: a limit of %s has the type %s', (unit, type) => {
    expect(read({ code: 'rate_limit_exceeded', message: '', unit }, 'OpenAI').json.error.type).toBe(type);
  });

  it('OpenAI: param is the field or null', () => {
    expect(read({ code: 'invalid_request', message: '', param: 'model' }, 'OpenAI').json.error.param).toBe('model');
    expect(read({ code: 'invalid_request', message: '' }, 'OpenAI').json.error.param).toBeNull();
  });

  it('Anthropic: a used up budget is told from a rate limit', () => {
    expect(read({ code: 'insufficient_quota', message: '' }, 'Anthropic').json.error.details).toEqual({
      error_code: 'spend_limit_reached',
    });
    expect(toStreamRefusal({ code: 'key_revoked', message: 'x' }, { dialect: 'Anthropic' }, 'r').split('\n')[0]).toBe('event: error');
  });

  it('the Responses API has errors of its own in a stream, numbered as its events are', () => {
    const text = toStreamRefusal({ code: 'key_revoked', message: 'x' }, { dialect: 'OpenAI', sequenceNumber: 7 }, 'r');
    expect(text).toBe('event: error\ndata: {"type":"error","code":"key_revoked","message":"x","param":null,"sequence_number":7}\n\n');
    expect(toStreamRefusal({ code: 'internal', message: 'secret' }, { dialect: 'OpenAI', sequenceNumber: 0 }, 'r')).not.toContain('secret');
  });

  it('Gemini: no key, a wrong key and an expired one are told apart', () => {
    const seen = [
      read({ code: 'invalid_api_key', message: '', missing: true }, 'Gemini'),
      read({ code: 'invalid_api_key', message: '' }, 'Gemini'),
      read({ code: 'key_expired', message: '' }, 'Gemini'),
    ].map(({ status, json }) => [status, json.error.status, json.error.details[0].reason, json.error.details[0].domain]);
    expect(seen).toEqual([
      [403, 'PERMISSION_DENIED', 'API_KEY_MISSING', 'keywright.dev'],
      [400, 'INVALID_ARGUMENT', 'API_KEY_INVALID', 'googleapis.com'],
      [400, 'INVALID_ARGUMENT', 'API_KEY_EXPIRED', 'googleapis.com'],
    ]);
  });

  it('Gemini: a rate limit says what is full and when it frees', () => {
    const refusal: Refusal = { code: 'rate_limit_exceeded', message: 'rpm of 60 reached', unit: 'requests', retryAfterMs: 1500.2 };
    const types = (read(refusal, 'Gemini').json.error.details as { '@type': string }[]).map((detail) => detail['@type'].split('.').at(-1));
    expect(types).toEqual(['ErrorInfo', 'QuotaFailure', 'RetryInfo']);
    expect(read(refusal, 'Gemini').json.error.details[2].retryDelay).toBe('1.501s');
    expect(read({ ...refusal, shouldRetry: false }, 'Gemini').json.error.details).toHaveLength(2);
  });

  it('a bug tells nothing of itself', () => {
    for (const dialect of dialects) {
      const answer = toRefusalAnswer({ code: 'internal', message: 'TypeError at /app/proxy: sk-secret' }, dialect, 'req_9');
      expect(answer.body).not.toContain('sk-secret');
      expect(answer.body).toContain('unexpected error');
      expect(answer.body).toContain('req_9');
    }
  });
});
