import type { Refusal } from '../../core/refusals.ts';
import type { BodyBudget } from '../bodies/body-budget.ts';
import { makeEventSplitter } from '../streams/event-stream.ts';
import { parseJson } from '../../core/json.ts';
import type { Body, KeptSize } from '../dialects/dialect.ts';
import { isObject } from '../../core/json.ts';
import type { ObjectOwner, ObjectPlace, StoredObjects } from './stored-objects.ts';

/** What may go on to the client, and when. */
export interface Kept {
  readonly pieces: readonly Buffer[];
  /** of the answer too, but nobody will be shown it: it is only read for what it has used */
  readonly unseen?: readonly Buffer[];
  /** absent = at once; gives why they must not go on, where that is so. Never rejects */
  readonly noted?: Promise<Refusal | undefined>;
}

/** Sees to it that no client is shown the id of an object that the provider keeps before it is noted whose it is. */
export interface AnswerKeeper {
  take(chunk: Buffer): Kept;
  /** the provider's answer is complete */
  end(): Kept;
  /** the answer has ended in another way; gives what is still held, which is only read for what it has used */
  drop(): readonly Buffer[];
}

export interface AnswerKeeperOptions {
  readonly objects: StoredObjects;
  readonly owner: ObjectOwner;
  readonly place: ObjectPlace;
  /** ids that a document of the answer shows */
  readonly idsOf: (document: Body) => readonly string[];
  /** of a document that tells the usage of a kept object: what going on with it takes */
  readonly sizeOf?: ((document: Body) => KeptSize | undefined) | undefined;
  readonly isEventStream: boolean;
  readonly budget: BodyBudget;
}

/** No id of a provider is as long; what is longer is none, or nothing that anybody could send back. */
const longestId = 512;

export function makeAnswerKeeper(options: AnswerKeeperOptions): AnswerKeeper {
  return options.isEventStream ? keepStream(options) : keepWhole(options);
}

/** Whole events reach the client (whole-events.ts), so that what a chunk shows are the events that it completes. */
function keepStream(options: AnswerKeeperOptions): AnswerKeeper {
  const splitter = makeEventSplitter();
  const note = makeNote(options);
  return {
    take: (chunk) => ({ pieces: [chunk], ...note(splitter.push(chunk).map(({ data }) => data)) }),
    end: () => ({ pieces: [], ...note(splitter.end().map(({ data }) => data)) }),
    drop: () => [],
  };
}

/**
 * One document: nobody can use a part of it, so that all of it waits for its end, within the bound of what is held in this process. Beyond it the client gets none of it, and the rest is
 * listened to all the same: the provider bills it, and its usage stands at its end.
 */
function keepWhole(options: AnswerKeeperOptions): AnswerKeeper {
  const note = makeNote(options);
  let held: Buffer[] = [];
  let heldBytes = 0;
  let isTooMuch = false;
  const drop = (): readonly Buffer[] => {
    const pieces = held;
    options.budget.give(heldBytes);
    held = [];
    heldBytes = 0;
    return pieces;
  };
  return {
    take(chunk) {
      isTooMuch ||= !options.budget.take(chunk.length);
      if (isTooMuch) return { pieces: [], unseen: [...drop(), chunk] };
      held.push(chunk);
      heldBytes += chunk.length;
      return { pieces: [] };
    },
    end() {
      if (isTooMuch) return { pieces: [], noted: Promise.resolve(tooMuchHeld) };
      const pieces = drop();
      return { pieces, ...note([Buffer.concat(pieces).toString()]) };
    },
    drop,
  };
}

const tooMuchHeld: Refusal = {
  code: 'overloaded',
  message: 'The gateway holds too many bytes of answers at this moment.',
  retryAfterMs: 1000,
};
const notNoted: Refusal = {
  code: 'limiter_unavailable',
  message: 'The gateway cannot note at this moment that this response is yours. With "store": false it need not.',
  retryAfterMs: 1000,
};

function makeNote({
  objects,
  owner,
  place,
  idsOf,
  sizeOf,
}: AnswerKeeperOptions): (texts: readonly (string | undefined)[]) => Pick<Kept, 'noted'> {
  const known = new Set<string>();
  return (texts) => {
    const documents = texts.map((text) => (text === undefined ? undefined : parseJson(text))).filter(isObject);
    const ids = [...new Set(documents.flatMap(idsOf))].filter((id) => !known.has(id) && id !== '' && id.length <= longestId);
    const sizes = documents.map((document) => sizeOf?.(document)).filter((size) => size !== undefined);
    if (ids.length === 0 && sizes.length === 0) return {};
    for (const id of ids) known.add(id);
    const owned = ids.length === 0 ? true : objects.note(owner, ids, place);
    // after it, so that it counts; without it a later request is only estimated worse
    const sized = sizes.map(({ id, tokens }) => objects.note(owner, [id], { ...place, tokens }));
    return { noted: Promise.all([owned, ...sized]).then(([isNoted]) => (isNoted ? undefined : notNoted)) };
  };
}
