import type { IncomingMessage } from 'node:http';
import { checkAddress, checkModels, checkScope, type CompiledKey } from '../../core/authorize.ts';
import { type Check, firstRefusal } from '../../core/decision.ts';
import type { Refusal } from '../../core/refusals.ts';
import { pickChannels } from '../../core/pick-channel.ts';
import { findChannels } from '../../core/route.ts';
import { type BodyForm, parseBodyForm } from '../bodies/content-type.ts';
import { openBody } from '../bodies/request-body.ts';
import type { RequestShape, Surface } from '../dialects/dialect.ts';
import { type Exchange, required } from '../exchange.ts';
import { withImageDeployment } from '../dialects/openai/image-deployment.ts';
import type { Parts } from '../parts.ts';
import { checkServiceTier } from '../attempts/shared-account.ts';
import { namespaceOf } from '../../core/namespace-of.ts';
import { checkBodyHeaders, readBody } from '../bodies/read-body.ts';

/**
 * Stage 2: may this key do this? First what the headers tell (address, scope, the body's form and size), and only then is the body read (`100 Continue`) and are its
 * models and their channels looked at.
 */
export function authorize(exchange: Exchange, parts: Parts): Refusal | undefined | Promise<Refusal | undefined> {
  const refusal = firstRefusal(headerChecks, { exchange, parts, key: required(exchange.key) });
  if (refusal !== undefined || exchange.surface.body === 'none') return refusal;
  const form = parseBodyForm(exchange.surface.body, exchange.request.headers['content-type']);
  return 'refusal' in form
    ? form.refusal
    : (checkBodyHeaders(exchange.request, parts.bodyBounds.maxBytes) ?? authorizeBody(exchange, parts, form));
}

interface Subject {
  readonly exchange: Exchange;
  readonly parts: Parts;
  readonly key: CompiledKey;
}

const headerChecks: readonly Check<Subject>[] = [
  ({ key, exchange }) => checkAddress(key, exchange.clientAddress),
  ({ key, exchange }) => checkScope(key, exchange.surface.scope),
  ({ exchange }) => checkQuery(exchange.surface, exchange.target.query),
];

const bodyChecks: readonly Check<Subject>[] = [
  ({ key, exchange }) => checkNamed(key, required(exchange.shape)),
  ({ key, exchange }) => checkChannels(key, exchange),
  ({ exchange }) => checkServiceTier(exchange),
  ({ exchange }) => checkNames(exchange),
];

/** What decides about the form of the answer has to be one of those that can be metered, and said once. */
function checkQuery({ queryValues = {} }: Surface, query: string): Refusal | undefined {
  const given = new URLSearchParams(query);
  for (const [name, allowed] of Object.entries(queryValues)) {
    const values = given.getAll(name);
    if (values.length <= 1 && values.every((value) => allowed.includes(value))) continue;
    return { code: 'invalid_request', message: `The query parameter "${name}" must be one of ${allowed.join(', ')}, once.`, param: name };
  }
  return undefined;
}

async function authorizeBody(exchange: Exchange, parts: Parts, form: BodyForm): Promise<Refusal | undefined> {
  const { request, response } = exchange;
  if (waitsForContinue(request)) response.writeContinue();
  const budget = parts.room.of(namespaceOf(required(exchange.key).record.id));
  const read = await readBody(request, { ...parts.bodyBounds, budget });
  if (read.outcome === 'refused') return read.refusal;
  if (read.outcome === 'gone') {
    exchange.gone = true;
    exchange.abortedBy ??= 'client';
    return undefined;
  }
  exchange.releaseBody = read.release;
  const opened = openBody(read.bytes, form);
  if ('refusal' in opened) return opened.refusal;
  const driver = required(exchange.driver);
  const refusal = opened.inspect(driver);
  if (refusal !== undefined) return refusal;
  const parsed = driver.parseShape(opened.value, exchange.surface, exchange.parameters);
  if ('refusal' in parsed) return parsed.refusal;
  const named = withImageDeployment(parsed.shape, request.headers);
  if ('refusal' in named) return named.refusal;
  if (showsKey(toModels(named.shape), required(exchange.presentedKey).reveal())) return keyForModel;
  pick(exchange, parts, named.shape);
  exchange.prompt = opened.measure(driver, exchange.surface);
  exchange.priceFields = driver.toPriceFields(opened.value, required(exchange.shape));
  exchange.body = opened.keep();
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

/** What the provider chooses by itself has to be allowed as what the client names, and the client is told what to name. */
function checkNamed(key: CompiledKey, shape: RequestShape): Refusal | undefined {
  const { possibleModels = [] } = shape;
  const named = toModels(shape).filter((model) => !possibleModels.includes(model));
  return checkModels(key, named) ?? (checkModels(key, possibleModels) === undefined ? undefined : unnamedImageModel);
}

const unnamedImageModel: Refusal = {
  code: 'model_not_allowed',
  message:
    'A tool "image_generation" names no model, so that the provider takes the image model that it likes, and this key may not use all of them. Name one in the tool ("model").',
  param: 'tools',
};

/** `channel/model`: from here on the plain name of the model is the one that counts, and only those channels are asked. */
function pick(exchange: Exchange, parts: Parts, shape: RequestShape): void {
  const key = required(exchange.key);
  const channels = parts.index.channelsFor(namespaceOf(key.record.id));
  exchange.shape = shape;
  exchange.eligible = channels;
  if (shape.model === undefined) return;
  const picked = pickChannels({ key, channels, dialect: exchange.dialect, model: shape.model });
  exchange.eligible = picked.channels;
  if (picked.model !== shape.model) exchange.shape = { ...shape, model: picked.model, replacesModel: true };
}

/** Here and not in route, so that a request nobody could serve is refused before it counts against a limit. */
function checkChannels(key: CompiledKey, exchange: Exchange): Refusal | undefined {
  const found = findChannels({ key, channels: exchange.eligible, dialect: exchange.dialect, model: required(exchange.shape).model });
  if ('refusal' in found) return found.refusal;
  exchange.candidates = found.channels;
  return undefined;
}

/** The boundary of a form is the client's choice; where it stands in what a provider calls the model, the form would break there. */
function checkNames({ candidates, body }: Exchange): Refusal | undefined {
  const isSafe = candidates.every(({ upstreamModel }) => upstreamModel === undefined || required(body).mayHold(upstreamModel));
  return isSafe
    ? undefined
    : { code: 'invalid_request', message: 'The boundary of the form is part of the name of a model. Choose another one.' };
}
