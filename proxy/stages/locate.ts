import type { Refusal } from '../../core/refusals.ts';
import { type Candidate, findChannels } from '../../core/route.ts';
import type { Reference } from '../dialects/dialect.ts';
import { type Exchange, required } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { namespaceOf } from '../../core/namespace-of.ts';
import { type ObjectPlace, toOwner } from '../stored-objects/stored-objects.ts';

/**
 * Between stages 2 and 3: objects that providers keep for this very key, and where. What a request points to has to be among them, and the request goes where they are and nowhere else.
 * An object of another key is as unknown as one that never was. Without the store nothing is said to be unknown.
 */
export function locate(exchange: Exchange, parts: Parts): Refusal | undefined | Promise<Refusal | undefined> {
  if (exchange.surface.body === 'none') {
    const refusal = readPath(exchange, parts);
    if (refusal !== undefined) return refusal;
  }
  const { references = [], keepsAnswer = false } = required(exchange.shape);
  if (references.length > 0) return find(exchange, parts, references);
  // before anything is paid for
  return keepsAnswer && !parts.storedObjects.ready ? cannotNote : undefined;
}

/** A request without a body says all in its path, and names no model. */
function readPath(exchange: Exchange, parts: Parts): Refusal | undefined {
  const key = required(exchange.key);
  const parsed = required(exchange.driver).parseShape({}, exchange.surface, exchange.parameters);
  if ('refusal' in parsed) return parsed.refusal;
  const channels = parts.index.channelsFor(namespaceOf(key.record.id));
  const found = findChannels({ key, channels, dialect: exchange.dialect, model: undefined });
  if ('refusal' in found) return found.refusal;
  exchange.shape = parsed.shape;
  exchange.candidates = found.channels;
  return undefined;
}

async function find(exchange: Exchange, parts: Parts, references: readonly Reference[]): Promise<Refusal | undefined> {
  const answer = await parts.storedObjects.find(
    toOwner(required(exchange.key).record),
    references.map(({ id }) => id),
  );
  if (answer.outcome === 'unavailable') return cannotFind;
  const [first] = answer.places;
  for (const [index, reference] of references.entries()) {
    const place = answer.places[index];
    if (place === undefined || first === undefined) return toUnknown(reference);
    if (reference.param === 'previous_response_id') readAgain(exchange, place);
    if (place.channelId !== first.channelId || place.credential !== first.credential) return toApart(reference);
  }
  return first === undefined ? cannotFind : pin(exchange, first, references[0]);
}

/** The model reads all of what it goes on with: that is part of the prompt, and nothing in the request tells how much it is. */
function readAgain(exchange: Exchange, { tokens = 0 }: ObjectPlace): void {
  const { prompt } = exchange;
  if (prompt !== undefined) exchange.prompt = { ...prompt, tokens: prompt.tokens + tokens };
}

/** Neither another channel nor another credential has it. */
function pin(exchange: Exchange, place: ObjectPlace, reference: Reference | undefined): Refusal | undefined {
  const candidates = exchange.candidates.filter((candidate) => keeps(candidate, place));
  if (candidates.length === 0) return toGone(reference);
  exchange.candidates = candidates;
  exchange.pinnedCredential = place.credential;
  return undefined;
}

function keeps({ channel }: Candidate, { channelId, credential }: ObjectPlace): boolean {
  if (channel.id !== channelId) return false;
  return channel.credentials.length === 0 ? credential === '' : channel.credentials.some(({ name }) => name === credential);
}

/** The id is not repeated: a client that mixes up its settings may have put its key there. */
function toUnknown({ what, param }: Reference): Refusal {
  return {
    code: 'not_found',
    message: `No ${what} with this id was found.`,
    ...(param === undefined ? {} : { param }),
    shouldRetry: false,
  };
}

/** It never comes back by waiting, and so it is no 503. */
function toGone(reference: Reference | undefined): Refusal {
  const { what = 'object', param } = reference ?? {};
  return {
    code: 'not_found',
    message: `The account that keeps this ${what} no longer serves this key, or not this model.`,
    ...(param === undefined ? {} : { param }),
    shouldRetry: false,
  };
}

function toApart({ what, param }: Reference): Refusal {
  return {
    code: 'unsupported_reference',
    message: `This ${what} is kept by another account than the others that the request points to.`,
    ...(param === undefined ? {} : { param }),
  };
}

const cannotFind: Refusal = {
  code: 'limiter_unavailable',
  message: 'The gateway cannot look up at this moment whose object this is. Try again.',
  retryAfterMs: 1000,
};
const cannotNote: Refusal = {
  code: 'limiter_unavailable',
  message: 'The gateway cannot note at this moment that the response is yours. With "store": false it need not.',
  retryAfterMs: 1000,
};
