import { randomUUID } from 'node:crypto';
import { type Answer, type FakeAnswer, type FakeRequest, type FakeUsage, fakeUsage, field, toPieces } from './behaviour.ts';

const json = { 'content-type': 'application/json' };
const created = 1_750_000_000;
const models = ['gpt-4o', 'gpt-4o-mini', 'text-embedding-3-small'];

/** An answer of OpenAI's API for chat completions, embeddings and models; its 400 or 404 for everything else. */
export function answerOpenAI(request: FakeRequest, override: FakeAnswer): Answer {
  const { method, path, json: body } = request;
  if (method === 'GET' && path === '/v1/models') return toWhole({ object: 'list', data: models.map(toModel) });
  if (method === 'GET' && path.startsWith('/v1/models/')) return toWhole(toModel(decodeURIComponent(path.slice('/v1/models/'.length))));
  if (method !== 'POST' || (path !== '/v1/chat/completions' && path !== '/v1/embeddings')) {
    return toRefused(404, `Invalid URL (${method} ${path})`);
  }
  const model = field(body, 'model');
  if (typeof model !== 'string') return toRefused(400, 'you must provide a model parameter');
  if (path === '/v1/embeddings') return toWhole(toEmbeddings(model, body, override));
  return field(body, 'stream') === true ? toStream(model, body, override) : toWhole(toCompletion(model, body, override));
}

/** OpenAI API reference, "Error codes". */
export function toOpenAIError(status: number, message: string): object {
  const types: Record<number, string> = {
    401: 'invalid_request_error',
    404: 'invalid_request_error',
    400: 'invalid_request_error',
    429: 'requests',
  };
  const codes: Record<number, string> = { 401: 'invalid_api_key', 404: 'unknown_url', 429: 'rate_limit_exceeded' };
  return { error: { message, type: types[status] ?? 'server_error', param: null, code: codes[status] ?? null } };
}

function toCompletion(model: string, body: unknown, override: FakeAnswer): object {
  const content = toPieces(override.chunks).join('');
  return {
    id: toId(),
    object: 'chat.completion',
    created,
    model,
    choices: toIndexes(body).map((index) => ({
      index,
      message: { role: 'assistant', content, refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: 'stop',
    })),
    usage: toUsage(override.usage),
    service_tier: 'default',
    system_fingerprint: 'fp_fake',
  };
}

/**
 * The role first, then the text, then `finish_reason`; with `stream_options.include_usage` every chunk has `usage: null` and a last one without choices has the usage;
 * `[DONE]` ends it (OpenAI API reference, "Chat streaming").
 */
function toStream(model: string, body: unknown, override: FakeAnswer): Answer {
  const includeUsage = field(field(body, 'stream_options'), 'include_usage') === true;
  const base = { id: toId(), object: 'chat.completion.chunk', created, model, service_tier: 'default', system_fingerprint: 'fp_fake' };
  const toChunk = (index: number, delta: object, finishReason: string | null = null): string =>
    toEvent({
      ...base,
      choices: [{ index, delta, logprobs: null, finish_reason: finishReason }],
      ...(includeUsage ? { usage: null } : {}),
    });
  const indexes = toIndexes(body);
  const events = [
    ...indexes.map((index) => toChunk(index, { role: 'assistant', content: '', refusal: null })),
    ...toPieces(override.chunks).flatMap((content) => indexes.map((index) => toChunk(index, { content }))),
    ...indexes.map((index) => toChunk(index, {}, 'stop')),
  ];
  if (includeUsage) events.push(toEvent({ ...base, choices: [], usage: toUsage(override.usage) }));
  events.push('data: [DONE]\n\n');
  return { status: 200, headers: {}, events };
}

function toEmbeddings(model: string, body: unknown, override: FakeAnswer): object {
  const input = field(body, 'input');
  // a list of numbers is one input in tokens
  const count = Array.isArray(input) && typeof input[0] !== 'number' ? input.length : 1;
  const dimensions = field(body, 'dimensions');
  const length = typeof dimensions === 'number' ? dimensions : 1536;
  const vector = Float32Array.from({ length }, (_, position) => ((position % 7) - 3) / 64);
  const embedding = field(body, 'encoding_format') === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector];
  const { input: tokens } = override.usage ?? fakeUsage;
  return {
    object: 'list',
    data: Array.from({ length: count }, (_, index) => ({ object: 'embedding', index, embedding })),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

function toUsage(usage: FakeUsage = fakeUsage): object {
  return {
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    prompt_tokens_details: { cached_tokens: usage.cachedInput ?? 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoning ?? 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

function toModel(id: string): object {
  return { id, object: 'model', created, owned_by: 'fake-provider' };
}

function toIndexes(body: unknown): number[] {
  const n = field(body, 'n');
  return Array.from({ length: typeof n === 'number' ? n : 1 }, (_, index) => index);
}

function toId(): string {
  return `chatcmpl-${randomUUID().replaceAll('-', '')}`;
}

function toEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

function toWhole(body: object): Answer {
  return { status: 200, headers: json, body: JSON.stringify(body) };
}

function toRefused(status: number, message: string): Answer {
  return { status, headers: json, body: JSON.stringify(toOpenAIError(status, message)) };
}
