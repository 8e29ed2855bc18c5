import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { answerJson, startUpstream, type TestUpstream, type UpstreamRequest } from './test-upstream.ts';

/** Responses of one account, by id, with the model and the id before. */
export type KeptResponses = Map<string, { readonly model: unknown; readonly previous: unknown; readonly items: readonly string[] }>;

export interface KeepingProvider extends TestUpstream {
  /** by the credential that made them */
  readonly accounts: ReadonlyMap<string, KeptResponses>;
  /** ids that any account keeps, of responses and of items */
  ids(): ReadonlySet<string>;
}

const usage = {
  input_tokens: 30,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 35,
};

/** Keeps what it answers, each account for itself, as OpenAI's Responses API does. Source: OpenAI API reference, "Responses". */
export async function startKeepingProvider(): Promise<KeepingProvider> {
  const accounts = new Map<string, KeptResponses>();
  const upstream = await startUpstream((request, response) => {
    const credential = String(request.headers.authorization ?? request.headers['api-key'] ?? '');
    const kept = accounts.get(credential) ?? new Map();
    accounts.set(credential, kept);
    answer(kept, request, response);
  });
  return Object.assign(upstream, {
    accounts,
    ids: () => new Set([...accounts.values()].flatMap((kept) => [...kept].flatMap(([id, { items }]) => [id, ...items]))),
  });
}

function answer(kept: KeptResponses, { method, url, body }: UpstreamRequest, response: ServerResponse): void {
  const path = url.split('?')[0] ?? '';
  if (method === 'POST' && path === '/v1/responses') return create(kept, JSON.parse(body) as Record<string, unknown>, response);
  const [, id = '', rest] = /^\/v1\/responses\/([^/]+)(?:\/(\w+))?$/.exec(path) ?? [];
  const found = kept.get(id);
  if (found === undefined)
    return answerJson(
      response,
      { error: { message: `Response with id '${id}' not found.`, type: 'invalid_request_error', param: null, code: null } },
      404,
    );
  if (method === 'DELETE') {
    kept.delete(id);
    return answerJson(response, { id, object: 'response', deleted: true });
  }
  if (rest === 'input_items') return answerJson(response, { object: 'list', data: [{ id: `${id}_in`, type: 'message' }], has_more: false });
  answerJson(response, { ...toResponse(id, found.model, found.items, 'completed'), usage });
}

function create(kept: KeptResponses, asked: Record<string, unknown>, response: ServerResponse): void {
  const previous = asked['previous_response_id'] ?? undefined;
  if (previous !== undefined && !kept.has(previous as string))
    return answerJson(
      response,
      {
        error: {
          message: 'Previous response not found.',
          type: 'invalid_request_error',
          param: 'previous_response_id',
          code: 'previous_response_not_found',
        },
      },
      400,
    );
  const id = `resp_${randomUUID().replaceAll('-', '')}`;
  const items = [`rs_${id.slice(5)}`, `msg_${id.slice(5)}`];
  if (asked['store'] !== false) kept.set(id, { model: asked['model'], previous, items });
  if (asked['background'] === true)
    return answerJson(response, { ...toResponse(id, asked['model'], [], 'queued'), background: true, usage: null });
  if (asked['stream'] !== true) return answerJson(response, { ...toResponse(id, asked['model'], items, 'completed'), usage });
  stream(response, id, asked['model'], items);
}

function stream(response: ServerResponse, id: string, model: unknown, items: readonly string[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const events = [
    { type: 'response.created', response: toResponse(id, model, [], 'in_progress') },
    ...items.flatMap((item, index) => [
      {
        type: 'response.output_item.added',
        output_index: index,
        item: { id: item, type: item.startsWith('rs_') ? 'reasoning' : 'message' },
      },
      ...(item.startsWith('rs_') ? [] : [{ type: 'response.output_text.delta', item_id: item, output_index: index, delta: 'Hello' }]),
      {
        type: 'response.output_item.done',
        output_index: index,
        item: { id: item, type: item.startsWith('rs_') ? 'reasoning' : 'message' },
      },
    ]),
    { type: 'response.completed', response: { ...toResponse(id, model, items, 'completed'), usage } },
  ];
  for (const [number, event] of events.entries())
    response.write(`event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number: number })}\n\n`);
  response.end();
}

function toResponse(id: string, model: unknown, items: readonly string[], status: string): object {
  return {
    id,
    object: 'response',
    status,
    model,
    output: items.map((item) => ({ id: item, type: item.startsWith('rs_') ? 'reasoning' : 'message' })),
  };
}
