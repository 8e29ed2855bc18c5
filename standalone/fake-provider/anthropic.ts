import { randomUUID } from 'node:crypto';
import { type Answer, type FakeAnswer, type FakeRequest, type FakeUsage, fakeUsage, field, toPieces } from './behaviour.ts';

const json = { 'content-type': 'application/json' };
const models = ['claude-sonnet-4-5', 'claude-haiku-4-5'];

/** An answer of Anthropic's API for messages, token counting and models; its 400 or 404 for everything else. */
export function answerAnthropic(request: FakeRequest, override: FakeAnswer): Answer {
  const { method, path, json: body } = request;
  if (method === 'GET' && path === '/v1/models') return toWhole(toModelList());
  if (method === 'GET' && path.startsWith('/v1/models/')) return toWhole(toModel(decodeURIComponent(path.slice('/v1/models/'.length))));
  if (method === 'POST' && path === '/v1/messages') return answerMessage(body, override);
  if (method === 'POST' && path === '/v1/messages/count_tokens') return answerCount(body, override);
  return toRefused(404, 'Not found');
}

function answerMessage(body: unknown, override: FakeAnswer): Answer {
  const model = field(body, 'model');
  if (typeof model !== 'string') return toRefused(400, 'model: Field required');
  if (typeof field(body, 'max_tokens') !== 'number') return toRefused(400, 'max_tokens: Field required');
  return field(body, 'stream') === true ? toStream(model, override) : toWhole(toMessage(model, override));
}

function answerCount(body: unknown, { usage = fakeUsage }: FakeAnswer): Answer {
  return typeof field(body, 'model') === 'string' ? toWhole({ input_tokens: usage.input }) : toRefused(400, 'model: Field required');
}

/** Anthropic API reference, "Errors". */
export function toAnthropicError(status: number, message: string): object {
  const types: Record<number, string> = {
    400: 'invalid_request_error',
    401: 'authentication_error',
    403: 'permission_error',
    404: 'not_found_error',
    413: 'request_too_large',
    429: 'rate_limit_error',
    529: 'overloaded_error',
  };
  return { type: 'error', error: { type: types[status] ?? 'api_error', message }, request_id: toId('req') };
}

function toMessage(model: string, override: FakeAnswer): object {
  return {
    id: toId('msg'),
    type: 'message',
    role: 'assistant',
    model,
    content: [{ type: 'text', text: toPieces(override.chunks).join('') }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: toUsage(override.usage),
  };
}

/**
 * `message_start` has the input's usage and the first output tokens, `message_delta` the cumulative output (Anthropic API reference, "Streaming messages");
 * pings may come anywhere.
 */
function toStream(model: string, override: FakeAnswer): Answer {
  const { usage = fakeUsage } = override;
  const message = { ...toMessage(model, override), content: [], stop_reason: null, usage: { ...toUsage(usage), output_tokens: 1 } };
  const events = [
    toEvent('message_start', { message }),
    toEvent('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    toEvent('ping', {}),
    ...toPieces(override.chunks).map((text) => toEvent('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    toEvent('content_block_stop', { index: 0 }),
    toEvent('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: usage.output } }),
    toEvent('message_stop', {}),
  ];
  return { status: 200, headers: {}, events };
}

/** `input_tokens` here leaves cache reads and writes out, unlike OpenAI's `prompt_tokens`. */
function toUsage(usage: FakeUsage = fakeUsage): object {
  const { cachedInput = 0, cacheWrite = 0 } = usage;
  return {
    input_tokens: usage.input - cachedInput - cacheWrite,
    cache_creation_input_tokens: cacheWrite,
    cache_read_input_tokens: cachedInput,
    cache_creation: { ephemeral_5m_input_tokens: cacheWrite, ephemeral_1h_input_tokens: 0 },
    output_tokens: usage.output,
    service_tier: 'standard',
  };
}

function toModelList(): object {
  return { data: models.map(toModel), has_more: false, first_id: models[0], last_id: models.at(-1) };
}

function toModel(id: string): object {
  return { type: 'model', id, display_name: id, created_at: '2025-01-01T00:00:00Z' };
}

function toId(kind: string): string {
  return `${kind}_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
}

function toEvent(type: string, data: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}

function toWhole(body: object): Answer {
  return { status: 200, headers: json, body: JSON.stringify(body) };
}

function toRefused(status: number, message: string): Answer {
  return { status, headers: json, body: JSON.stringify(toAnthropicError(status, message)) };
}
