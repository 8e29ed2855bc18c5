import { parseJson } from '../../core/json.ts';
import type { Provider } from '../../core/snapshot.ts';
import { makeEventSplitter } from '../streams/event-stream.ts';
import { readFailureBody } from './failure-body.ts';
import { toUpstreamFailure, type UpstreamFailure, type UpstreamVerdict } from './upstream-failure.ts';

/** An error about the account, told within an answer that began well. */
export interface StreamFailure extends UpstreamFailure {
  readonly verdict: AccountTrouble;
  /** the place of the event that told it in a stream of OpenAI's Responses */
  readonly sequenceNumber: number | undefined;
}

export interface CutStream {
  /** what came before it */
  readonly shown: readonly Buffer[];
  readonly failure: StreamFailure;
}

export type AccountTrouble = Extract<UpstreamVerdict, 'credentialDead' | 'accountBroke' | 'modelForbidden' | 'throttled' | 'quotaSpent'>;

const aboutAccount: ReadonlySet<UpstreamVerdict> = new Set<AccountTrouble>([
  'credentialDead',
  'accountBroke',
  'modelForbidden',
  'throttled',
  'quotaSpent',
]);

/**
 * Takes whole events, or whole elements of a list, and cuts them in front of an error that speaks of the account; undefined: there is none. Errors that are the client's, or say no more than that the
 * provider is in trouble or busy, go on as they are. Sources: OpenAI "Streaming responses" (`error`, `response.failed`), Anthropic "Error events", Gemini (an error in place of a response).
 */
export function cutAtFailure(provider: Provider, form: 'events' | 'list', pieces: readonly Buffer[]): CutStream | undefined {
  // texts of models cannot hold it: their quotes are escaped
  const [only = nothing] = pieces;
  const whole = pieces.length > 1 ? Buffer.concat(pieces) : only;
  if (!whole.includes('"error"')) return undefined;
  const shown: Buffer[] = [];
  for (const { bytes, text } of form === 'events' ? toEvents(whole) : toElements(whole)) {
    const failure = text === undefined ? undefined : toStreamFailure(provider, text);
    if (failure !== undefined) return { shown, failure };
    shown.push(bytes);
  }
  return undefined;
}

const nothing = Buffer.alloc(0);

interface Told {
  readonly bytes: Buffer;
  readonly text: string | undefined;
}

function toEvents(whole: Buffer): Told[] {
  const splitter = makeEventSplitter();
  const events = [...splitter.push(whole), ...splitter.end()];
  return events.map(({ bytes, data }) => ({ bytes, text: data }));
}

/** An error is the last element; what is written in its place is the last one too. */
function toElements(bytes: Buffer): Told[] {
  const starts = [...bytes.toString('latin1').matchAll(/\{\s*"error"\s*:/g)].map(({ index }) => index);
  const last = starts
    .map((start) => ({ start, text: bytes.toString('utf8', start).replace(/[\s\]]+$/, '') }))
    .find(({ text }) => parseJson(text) !== undefined);
  if (last === undefined) return [{ bytes, text: undefined }];
  return [
    { bytes: bytes.subarray(0, last.start), text: undefined },
    { bytes: bytes.subarray(last.start), text: last.text },
  ];
}

/** `"error": null` stands in most events of some streams, and they may be large. */
const namesError = /"error"\s*:\s*[{"]|"type"\s*:\s*"error"/;

function toStreamFailure(provider: Provider, text: string): StreamFailure | undefined {
  if (!namesError.test(text)) return undefined;
  const top = toFields(parseJson(text));
  const error = top === undefined ? undefined : toError(top);
  if (top === undefined || error === undefined) return undefined;
  const body = Buffer.from(JSON.stringify({ error }));
  const { codes, message } = readFailureBody(body);
  const { verdict, ...failure } = toUpstreamFailure(provider, { status: toStatus(codes), body });
  if (!isAboutAccount(verdict) || (isThrottle(verdict) && !namesAccount.test(message))) return undefined;
  const { sequence_number: number } = top;
  return {
    ...failure,
    verdict,
    // so late it is a tool, or what else the request asks for, that may not be used
    ofRequest: failure.ofRequest || verdict === 'modelForbidden',
    sequenceNumber: typeof number === 'number' ? number : undefined,
  };
}

/** The client may be told of a throttle as it comes, but not whose it is. */
const namesAccount = /organi[sz]ation|\borg-|\bproject/i;

function isThrottle(verdict: UpstreamVerdict): boolean {
  return verdict === 'throttled' || verdict === 'quotaSpent';
}

function isAboutAccount(verdict: UpstreamVerdict): verdict is AccountTrouble {
  return aboutAccount.has(verdict);
}

/** Only what the event itself says: errors of tools stand deeper in it. */
function toError(top: Fields): Fields | undefined {
  if (top['type'] === 'response.failed') return toFields(toFields(top['response'])?.['error']);
  const error = top['error'];
  if (typeof error === 'string') return { message: error };
  return toFields(error) ?? (top['type'] === 'error' ? top : undefined);
}

/** The statuses with which the same errors come where they are the whole answer; the first that fits. */
const statuses: readonly (readonly [status: number, words: readonly string[]])[] = [
  [401, ['invalid_api_key', 'authentication_error', 'UNAUTHENTICATED']],
  [402, ['billing_error']],
  [429, ['insufficient_quota', 'rate_limit_exceeded', 'rate_limit_error', 'RESOURCE_EXHAUSTED']],
  [403, ['permission_error', 'PERMISSION_DENIED']],
  [500, ['server_error', 'api_error', 'overloaded_error', 'timeout_error', 'INTERNAL', 'UNAVAILABLE', 'DEADLINE_EXCEEDED']],
];

/** One that is told as a number (Gemini, many that are compatible to OpenAI) is itself; whatever has none is the request's until a rule of its provider says otherwise. */
function toStatus(codes: ReadonlySet<string>): number {
  const number = [...codes].map(Number).find((code) => code >= 400 && code < 600);
  return number ?? statuses.find(([, words]) => words.some((word) => codes.has(word)))?.[0] ?? 400;
}

type Fields = Readonly<Record<string, unknown>>;

function toFields(value: unknown): Fields | undefined {
  if (Array.isArray(value)) return toFields(value[0]);
  return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
}
