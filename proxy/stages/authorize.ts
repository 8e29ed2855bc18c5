import type { IncomingMessage } from 'node:http';
import { checkAddress, checkModels, checkScope, type CompiledKey } from '../../core/authorize.ts';
import { type Check, firstRefusal } from '../../core/decision.ts';
import type { Refusal } from '../../core/refusals.ts';
import { findChannels } from '../../core/route.ts';
import type { RequestShape } from '../dialects/dialect.ts';
import { type Exchange, required } from '../exchange.ts';
import { scanJson, shrinkBody } from '../json-scan.ts';
import type { Parts } from '../parts.ts';
import { toNamespace } from '../proxy-metrics.ts';
import { checkBodyHeaders, readBody } from '../read-body.ts';

/**
 * Stage 2: may this key do this? First what the headers tell (address, scope, the body's form and size), and only then is the body read (`100 Continue`) and are its
 * models and their channels looked at.
 */
export function authorize(exchange: Exchange, parts: Parts): Refusal | undefined | Promise<Refusal | undefined> {
  const refusal = firstRefusal(headerChecks, { exchange, parts, key: required(exchange.key) });
  if (refusal !== undefined || exchange.surface.body === 'none') return refusal;
  return authorizeBody(exchange, parts);
}

interface Subject {
  readonly exchange: Exchange;
  readonly parts: Parts;
  readonly key: CompiledKey;
}

const headerChecks: readonly Check<Subject>[] = [
  ({ key, exchange }) => checkAddress(key, exchange.clientAddress),
  ({ key, exchange }) => checkScope(key, exchange.surface.scope),
  ({ exchange }) => (exchange.surface.body === 'json' ? checkContentType(exchange.request.headers['content-type']) : undefined),
  ({ exchange, parts }) => checkBodyHeaders(exchange.request, parts.bodyBounds.maxBytes),
];

const bodyChecks: readonly Check<Subject>[] = [
  ({ key, exchange }) => checkModels(key, toModels(required(exchange.shape))),
  ({ key, exchange, parts }) => checkChannels(key, exchange, parts),
];

/** JSON, or nothing said. Any other type is a mistake that the provider would have to guess at. */
function checkContentType(contentType: string | undefined): Refusal | undefined {
  if (contentType === undefined || /^\s*application\/(?:[\w.-]+\+)?json\s*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?;?\s*$/i.test(contentType))
    return undefined;
  return { code: 'unsupported_encoding', message: 'The content type has to be application/json in UTF-8.' };
}

async function authorizeBody(exchange: Exchange, parts: Parts): Promise<Refusal | undefined> {
  const { request, response } = exchange;
  if (waitsForContinue(request)) response.writeContinue();
  const read = await readBody(request, parts.bodyBounds);
  if (read.outcome === 'refused') return read.refusal;
  if (read.outcome === 'gone') {
    exchange.gone = true;
    exchange.abortedBy ??= 'client';
    return undefined;
  }
  exchange.releaseBody = read.release;
  const scan = scanJson(read.bytes);
  if (!scan.ok) return scan.refusal;
  const driver = required(exchange.driver);
  const parsed = driver.parseShape(scan.body.value, exchange.surface, exchange.parameters);
  if ('refusal' in parsed) return parsed.refusal;
  if (showsKey(toModels(parsed.shape), required(exchange.presentedKey).reveal())) return keyForModel;
  exchange.shape = parsed.shape;
  exchange.prompt = driver.measure(scan.body, exchange.surface);
  exchange.body = shrinkBody(scan.body);
  return firstRefusal(bodyChecks, { exchange, parts, key: required(exchange.key) });
}

/** RFC 9110 section 10.1.1: a client of HTTP/1.0 knows no interim answers, whatever it says. */
function waitsForContinue({ headers, httpVersion }: IncomingMessage): boolean {
  return headers.expect !== undefined && httpVersion !== '1.0' && /(?:^|,)\s*100-continue\s*(?:,|$)/i.test(headers.expect);
}

/** Names of models are logged and stand in messages; a client that mixes up its settings must not bring its key there. */
const keyForModel: Refusal = { code: 'invalid_request', message: 'The name of the model holds an API key.', param: 'model' };

function showsKey(models: readonly string[], key: string): boolean {
  return models.some((model) => model.includes(key));
}

function toModels({ model, otherModels }: RequestShape): readonly string[] {
  return model === undefined ? otherModels : [model, ...otherModels];
}

/** Here and not in route, so that a request nobody could serve is refused before it counts against a limit. */
function checkChannels(key: CompiledKey, exchange: Exchange, parts: Parts): Refusal | undefined {
  const channels = parts.index.channelsFor(toNamespace(key.record.id));
  const found = findChannels({ key, channels, dialect: exchange.dialect, model: required(exchange.shape).model });
  if ('refusal' in found) return found.refusal;
  exchange.candidates = found.channels;
  return undefined;
}
