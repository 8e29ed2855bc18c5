import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseJson } from '../core/json.ts';
import { answerAnthropic, toAnthropicError } from './fake-provider/anthropic.ts';
import type { Answer, Behaviour, FakeAnswer, FakeRequest, RecordedRequest } from './fake-provider/behaviour.ts';
import { answerGemini, isGeminiCall, toGeminiError } from './fake-provider/gemini.ts';
import { answerOpenAI, toOpenAIError } from './fake-provider/openai.ts';

export interface FakeProvider {
  /** `http://host:port` with the port that was bound */
  readonly address: string;
  /** the last 10,000 requests in order of arrival */
  readonly requests: readonly RecordedRequest[];
  close(): Promise<void>;
}

/** A demo may run for days; a test that counts requests stays far below. */
const keptRequests = 10_000;

/**
 * An HTTP server that answers as OpenAI (`/v1/chat/completions`, `/v1/embeddings`, `/v1/models`), Anthropic (`/v1/messages`, `/v1/messages/count_tokens`,
 * `/v1/models`) and Google (`/v1beta/models/{model}:…`) document it, with a fixed text and a fixed usage. `behaviour` sees each request and overrides parts of its answer; nothing in a request steers it.
 * Shapes: OpenAI API reference "Chat", "Embeddings", "Models"; Anthropic API reference "Messages", "Streaming messages", "Count tokens", "Models".
 */
export async function startFakeProvider({
  listen,
  behaviour,
}: {
  listen: { host: string; port: number };
  behaviour?: Behaviour;
}): Promise<FakeProvider> {
  const requests: RecordedRequest[] = [];
  const server = createServer((request, response) => {
    void serve({ request, response, behaviour, requests }).catch(() => response.destroy());
  });
  // the side that is called must outlive the caller's idle connections, else a caller reuses one that is just being closed
  server.keepAliveTimeout = 75_000;
  server.listen(listen.port, listen.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return {
    address: `http://${host}:${port}`,
    requests,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly behaviour: Behaviour | undefined;
  readonly requests: RecordedRequest[];
}

async function serve({ request, response, behaviour, requests }: Exchange): Promise<void> {
  const { path, record, gone } = await recordRequest(request, response);
  requests.push(record);
  if (requests.length > keptRequests) requests.shift();
  const override = (await behaviour?.(record)) ?? {};
  await wait(override.delayMs, gone);
  if (override.failAt === 'beforeHeaders') return void response.destroy();
  const answer = toAnswer(
    { method: record.method, path, query: record.path.split('?')[1] ?? '', json: record.json, headers: record.headers },
    override,
  );
  response.on('error', () => {});
  if (answer.body !== undefined) return sendWhole(response, answer, override);
  await sendStream({ response, answer, override, gone });
}

async function recordRequest(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<{ path: string; record: RecordedRequest; gone: AbortSignal }> {
  const controller = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts).toString();
  const target = request.url ?? '/';
  const record: RecordedRequest = {
    method: request.method ?? 'GET',
    path: target,
    headers: request.headers,
    body,
    json: parseJson(body),
    get aborted() {
      return controller.signal.aborted;
    },
  };
  return { path: target.split('?')[0] ?? '/', record, gone: controller.signal };
}

function toAnswer(request: FakeRequest, override: FakeAnswer): Answer {
  const { answerAs, toError, identity } = toDialect(request);
  const refused = (status: number, message: string): Answer => toJsonAnswer(status, toError(status, message));
  const own = (): Answer => answerAs(request, override);
  const answer =
    override.requireCredential !== undefined && presentedCredential(request) !== override.requireCredential
      ? refused(401, 'Incorrect API key provided.')
      : override.body !== undefined
        ? toJsonAnswer(override.status ?? 200, override.body)
        : override.status !== undefined && override.status >= 400
          ? refused(override.status, `The fake provider was told to answer ${override.status}.`)
          : own();
  return {
    ...answer,
    status: answer.status === 200 ? (override.status ?? 200) : answer.status,
    headers: { [identity]: `req_${randomUUID().replaceAll('-', '')}`, ...answer.headers, ...override.headers },
  };
}

interface FakeDialect {
  readonly answerAs: (request: FakeRequest, override: FakeAnswer) => Answer;
  readonly toError: (status: number, message: string) => object;
  readonly identity: string;
}

function toDialect({ path, headers }: FakeRequest): FakeDialect {
  if (isGeminiCall(path)) return { answerAs: answerGemini, toError: toGeminiError, identity: 'x-request-id' };
  const isAnthropic = path.startsWith('/v1/messages') || headers['anthropic-version'] !== undefined;
  if (isAnthropic) return { answerAs: answerAnthropic, toError: toAnthropicError, identity: 'request-id' };
  return { answerAs: answerOpenAI, toError: toOpenAIError, identity: 'x-request-id' };
}

/** Where official clients put it: `Authorization: Bearer`, Anthropic's `x-api-key`, or Google's `x-goog-api-key`. */
function presentedCredential({ headers }: FakeRequest): string | undefined {
  const { authorization, 'x-api-key': anthropicKey, 'x-goog-api-key': googleKey } = headers;
  const apiKey = anthropicKey ?? googleKey;
  if (typeof apiKey === 'string') return apiKey;
  return authorization?.startsWith('Bearer ') ? authorization.slice('Bearer '.length) : undefined;
}

function toJsonAnswer(status: number, body: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: typeof body === 'string' ? body : JSON.stringify(body) };
}

async function sendWhole(response: ServerResponse, answer: Answer, { failAt }: FakeAnswer): Promise<void> {
  const bytes = Buffer.from(answer.body ?? '');
  response.writeHead(answer.status, { ...answer.headers, 'content-length': bytes.length });
  if (failAt !== 'midStream') return void response.end(bytes);
  // the half has to have left before the connection breaks: a broken one discards what is still queued
  await new Promise<void>((resolve) => response.write(bytes.subarray(0, bytes.length / 2), () => resolve()));
  await sleep(20);
  response.destroy();
}

interface Stream {
  readonly response: ServerResponse;
  readonly answer: Answer;
  readonly override: FakeAnswer;
  /** the client went away */
  readonly gone: AbortSignal;
}

async function sendStream({ response, answer, override, gone }: Stream): Promise<void> {
  const events = answer.events ?? [];
  response.writeHead(answer.status, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...answer.headers });
  response.flushHeaders();
  for (const [position, event] of events.entries()) {
    if (gone.aborted) return;
    if (override.failAt === 'midStream' && position >= events.length / 2) {
      await sleep(20);
      return void response.destroy();
    }
    if (position > 0) await wait(override.chunkDelayMs, gone);
    // a reader that is slow is waited for, as a provider does
    if (!response.write(event)) await once(response, 'drain', { signal: gone }).catch(() => {});
  }
  response.end();
}

async function wait(ms: number | undefined, signal: AbortSignal): Promise<void> {
  if (ms !== undefined && ms > 0) await sleep(ms, undefined, { signal }).catch(() => {});
}
