import type { CompiledKey } from '../../core/authorize.ts';
import type { Dialect, Refusal } from '../../core/refusals.ts';
import { findChannels, usableChannels } from '../../core/route.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { answerWhole, toAnswerHeaders } from '../answers/answer.ts';
import { toGeminiModel, toGeminiPage } from '../dialects/gemini/model-list.ts';
import { isModelName } from '../dialects/request-fields.ts';
import { type Exchange, required } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { namespaceOf } from '../../core/namespace-of.ts';

/** `GET /v1/models` and `/v1/models/{id}`: what this key may use, from the snapshot; no provider is asked. */
export function listModels(exchange: Exchange, parts: Parts): Refusal | undefined {
  const key = required(exchange.key);
  const channels = parts.index.channelsFor(namespaceOf(key.record.id));
  if (exchange.surface.operation === 'models') {
    const names = toModelNames(key, channels, exchange.dialect);
    return exchange.dialect === 'Gemini' ? listPage(exchange, names) : answer(exchange, toList(names, exchange.dialect));
  }
  const { model } = exchange.parameters;
  if (!isModelName(model) || model.includes(required(exchange.presentedKey).reveal()))
    return { code: 'invalid_request', message: 'This is not the name of a model.', param: 'model' };
  const found = key.allowsModel(model) && 'channels' in findChannels({ key, channels, dialect: exchange.dialect, model });
  if (!found)
    return { code: 'model_not_found', message: `The model "${model}" does not exist or this key may not use it.`, param: 'model' };
  return answer(exchange, toModel(model, exchange.dialect));
}

/** Names that stand in the key's channels. Globs and channels without a list are not enumerated: no list is invented. */
function toModelNames(key: CompiledKey, channels: readonly ChannelRecord[], dialect: Dialect): string[] {
  const names = usableChannels({ key, channels, dialect })
    .flatMap((channel) => channel.models ?? [])
    .map(({ name }) => name)
    .filter((name) => isModelName(name) && key.allowsModel(name));
  return [...new Set(names)].toSorted();
}

function listPage(exchange: Exchange, names: readonly string[]): Refusal | undefined {
  const page = toGeminiPage(names, exchange.target.query);
  return 'refusal' in page ? page.refusal : answer(exchange, page);
}

/** The date a model was made is not known here; both SDKs want one. */
function toModel(id: string, dialect: Dialect): object {
  if (dialect === 'Gemini') return toGeminiModel(id);
  if (dialect === 'Anthropic') return { type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' };
  return { id, object: 'model', created: 0, owned_by: 'keywright' };
}

function toList(names: readonly string[], dialect: Dialect): object {
  const data = names.map((name) => toModel(name, dialect));
  return dialect === 'Anthropic'
    ? { data, has_more: false, first_id: names[0] ?? null, last_id: names.at(-1) ?? null }
    : { object: 'list', data };
}

function answer(exchange: Exchange, body: object): undefined {
  const { request, response } = exchange;
  answerWhole({
    request,
    response,
    status: 200,
    headers: ['content-type', 'application/json', ...toAnswerHeaders(exchange)],
    body: JSON.stringify(body),
  });
  exchange.firstByteMs = performance.now() - exchange.startedMs;
}
