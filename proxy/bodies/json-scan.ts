import { isUtf8 } from 'node:buffer';
import { isObject, parseJson } from '../../core/json.ts';
import type { Refusal } from '../../core/refusals.ts';
import {
  closeBracket,
  comma,
  findClosingQuote,
  type JsonMember,
  mostMembers,
  quote,
  readMembers,
  skipSpace,
  skipValue,
} from './json-walk.ts';

/** A JSON object as the provider will read it, with offsets, so that the client's own bytes can be forwarded. */
export interface JsonBody {
  readonly bytes: Buffer;
  readonly value: Readonly<Record<string, unknown>>;
  readonly members: readonly JsonMember[];
  /** offset after the opening brace; where a new member is inserted */
  readonly insertAt: number;
  /** where a dialect found the model below the top level */
  readonly modelPlaces?: readonly JsonMember[];
}

export type JsonScan = { readonly ok: true; readonly body: JsonBody } | { readonly ok: false; readonly refusal: Refusal };

/**
 * Members that decide what a request may do, costs or how its answer is read. A second one, one written with escapes or in
 * another case would let us and the provider read two different requests.
 */
export const decidingNames: ReadonlySet<string> = new Set([
  'model',
  'models',
  'tools',
  'stream',
  'stream_options',
  'n',
  'best_of',
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'messages',
  'system',
  'instructions',
  'input',
  'prompt',
  'service_tier',
  'store',
  'background',
  'previous_response_id',
  'conversation',
  'moderation',
  'prompt_cache_key',
  'prompt_cache_options',
  'safety_identifier',
  'size',
  'quality',
  'partial_images',
  'output_format',
  'frame_count',
  'svg',
  'prompt_rewriter',
  'speed',
  'stream_format',
]);
const modelNames: ReadonlySet<string> = new Set(['model', 'models']);

/**
 * Reads a request body that has to be one JSON object. Takes the bytes as received (content coding undone); gives the parsed
 * value and the offsets of its members; refuses (`invalid_request`) what two readers could read differently: a BOM, invalid
 * UTF-8, anything after the object (RFC 8259 sections 2 and 8.1), and members that matter (also `model` inside `tools[]`) when
 * they are doubled, escaped or in another case. Linear in the length of the body.
 */
export function scanJson(bytes: Buffer): JsonScan {
  const unreadable = refuseUnread(bytes);
  if (unreadable !== undefined) return unreadable;
  // native, and so far faster than any scanner of ours
  const value = parseJson(bytes.toString('utf8'));
  if (value === undefined) return refuse('the request body is not valid JSON');
  if (!isObject(value)) return refuse('the request body is not a JSON object');
  const start = skipSpace(bytes, 0);
  const { members } = readMembers(bytes, start);
  if (members.length > mostMembers) return refuse(`the request body has more than ${mostMembers} fields`);
  const refusal = findAmbiguity(members, decidingNames, '') ?? findToolAmbiguity(bytes, members);
  if (refusal !== undefined) return { ok: false, refusal };
  return { ok: true, body: { bytes, value, members, insertAt: start + 1 } };
}

/** What is refused by a look at the bytes alone. */
function refuseUnread(bytes: Buffer): JsonScan | undefined {
  if (bytes.length === 0) return refuse('the request body is empty; a JSON object is expected');
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return refuse('the request body starts with a byte order mark');
  if (!isUtf8(bytes)) return refuse('the request body is not valid UTF-8');
  return holdsTooManyValues(bytes) ? { ok: false, refusal: tooManyValues } : undefined;
}

/**
 * Parsing takes time by the value, not by the byte: 32 MiB of `[[],[],…` would hold up every other request for seconds. The largest honest body, embeddings
 * of texts given as tokens, has some 300,000 (OpenAI's bound for one call).
 */
const mostValues = 1_000_000;
const tooManyValues: Refusal = { code: 'request_too_large', message: `The request body holds more than ${mostValues} JSON values.` };

/** Counts what begins a value, outside strings; the text may still be no JSON at all. */
function holdsTooManyValues(bytes: Buffer): boolean {
  // each value takes two bytes at least, so most bodies need no look
  if (bytes.length <= 2 * mostValues) return false;
  let values = 0;
  for (let position = 0; position < bytes.length; position += 1) {
    const byte = bytes[position];
    if (byte === comma || byte === 0x5b || byte === 0x7b) values += 1;
    if (values > mostValues) return true;
    if (byte !== quote) continue;
    const end = findClosingQuote(bytes, position);
    if (end === undefined) return false;
    position = end;
  }
  return false;
}

function findAmbiguity(members: readonly JsonMember[], names: ReadonlySet<string>, path: string): Refusal | undefined {
  const seen = new Set<string>();
  for (const member of members) {
    const folded = foldName(member.name);
    if (!names.has(folded)) continue;
    const param = `${path}${folded}`;
    if (member.escaped) return invalid(`the key '${param}' is written with escapes`, param);
    if (member.name !== folded) return invalid(`the key '${param}' is written in another case`, param);
    if (seen.has(folded)) return invalid(`the key '${param}' stands in the body twice`, param);
    seen.add(folded);
  }
  return undefined;
}

/** A tool may name a model of its own (`tools[].model`), which is authorised like the others. */
function findToolAmbiguity(bytes: Buffer, members: readonly JsonMember[]): Refusal | undefined {
  const tools = members.find((member) => member.name === 'tools');
  if (tools === undefined || bytes[tools.valueStart] !== 0x5b) return undefined;
  let position = skipSpace(bytes, tools.valueStart + 1);
  for (let index = 0; bytes[position] !== closeBracket; index += 1) {
    if (bytes[position] === 0x7b) {
      const found = readMembers(bytes, position).members;
      // those beyond the bound have not been looked at
      if (found.length > mostMembers) return invalid(`a tool has more than ${mostMembers} fields`, 'tools');
      const refusal = findAmbiguity(found, modelNames, `tools[${index}].`);
      if (refusal !== undefined) return refusal;
    }
    position = skipSpace(bytes, skipValue(bytes, position));
    if (bytes[position] === comma) position = skipSpace(bytes, position + 1);
  }
  return undefined;
}

/**
 * Go's encoding/json, which some providers use, matches names without case, by Unicode folding. Upper case first: it folds the long s (U+017F); lower case then folds the Kelvin
 * sign (U+212A).
 */
export function foldName(name: string): string {
  return name.toUpperCase().toLowerCase();
}

function refuse(message: string): JsonScan {
  return { ok: false, refusal: invalid(message) };
}

function invalid(message: string, param?: string): Refusal {
  return { code: 'invalid_request', message, ...(param === undefined ? {} : { param }) };
}
