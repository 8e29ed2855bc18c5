import { isUtf8 } from 'node:buffer';
import type { Refusal } from '../../core/refusals.ts';
import type { ByteList } from './byte-list.ts';
import type { Splice } from '../dialects/dialect.ts';

/** One member of an object: its name and the byte offsets of its key and value in the body. */
export interface JsonMember {
  readonly name: string;
  /** true if the key was written with an escape: another reader may see another name */
  readonly escaped: boolean;
  readonly keyStart: number;
  readonly valueStart: number;
  /** offset after the last byte of the value */
  readonly valueEnd: number;
}

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

/** What is needed of a JSON object once its shape is known. */
export interface KeptJson extends Omit<JsonBody, 'bytes'> {
  /** as they arrived */
  readonly bytes: ByteList;
}

export type JsonScan = { readonly ok: true; readonly body: JsonBody } | { readonly ok: false; readonly refusal: Refusal };

/**
 * Members that decide what a request may do, costs or how its answer is read. A second one, one written with escapes or in
 * another case would let us and the provider read two different requests.
 */
const decidingNames: ReadonlySet<string> = new Set([
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

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const closeBrace = 0x7d;
const closeBracket = 0x5d;

/**
 * Reads a request body that has to be one JSON object. Takes the bytes as received (content coding undone); gives the parsed
 * value and the offsets of its members; refuses (`invalid_request`) what two readers could read differently: a BOM, invalid
 * UTF-8, anything after the object (RFC 8259 sections 2 and 8.1), and members that matter (also `model` inside `tools[]`) when
 * they are doubled, escaped or in another case. Linear in the length of the body.
 */
export function scanJson(bytes: Buffer): JsonScan {
  const unreadable = refuseUnread(bytes);
  if (unreadable !== undefined) return unreadable;
  const value = parse(bytes);
  if (value === undefined) return refuse('the request body is not valid JSON');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse('the request body is not a JSON object');
  const start = skipSpace(bytes, 0);
  const { members } = readMembers(bytes, start);
  if (members.length > mostMembers) return refuse(`the request body has more than ${mostMembers} fields`);
  const refusal = findAmbiguity(members, decidingNames, '') ?? findToolAmbiguity(bytes, members);
  if (refusal !== undefined) return { ok: false, refusal };
  return { ok: true, body: { bytes, value: value as Record<string, unknown>, members, insertAt: start + 1 } };
}

/** What is refused by a look at the bytes alone. */
function refuseUnread(bytes: Buffer): JsonScan | undefined {
  if (bytes.length === 0) return refuse('the request body is empty; a JSON object is expected');
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return refuse('the request body starts with a byte order mark');
  if (!isUtf8(bytes)) return refuse('the request body is not valid UTF-8');
  return holdsTooManyValues(bytes) ? { ok: false, refusal: tooManyValues } : undefined;
}

/** The client's bytes with the named top-level members replaced, or added in front when they are absent; views, not copies. */
export function spliceJson(body: KeptJson, splices: readonly Splice[]): readonly Buffer[] {
  if (splices.length === 0) return body.bytes.pieces;
  const edits = [toInsertion(body, splices), ...splices.map((splice) => toReplacement(body, splice))]
    .flatMap((edit) => edit ?? [])
    .toSorted((left, right) => left.from - right.from);
  const pieces: Buffer[] = [];
  let position = 0;
  for (const edit of edits) {
    pieces.push(...body.bytes.cut(position, edit.from), Buffer.from(edit.text));
    position = edit.to;
  }
  return [...pieces, ...body.bytes.cut(position, body.bytes.length)];
}

/** Far more than any option has; prompts and tools are longer. */
const maxKeptBytes = 4096;

/**
 * Lets go of all but offsets and values of the short members that may be replaced. Parsed, a body of many small values takes twenty times its bytes, which the bounds do not count and
 * a stream would hold for as long as it runs; and the bytes that were put together to be parsed are a second copy.
 * @param bytes the same, as they arrived
 */
export function shrinkBody(body: JsonBody, bytes: ByteList): KeptJson {
  // the first one tells `spliceJson` that the object is not empty
  const members = body.members.filter(({ name }, index) => index === 0 || decidingNames.has(name));
  const short = members.filter(({ valueStart, valueEnd }) => valueEnd - valueStart <= maxKeptBytes);
  return { ...body, bytes, members, value: Object.fromEntries(short.map(({ name }) => [name, body.value[name]])) };
}

interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

function findMember(body: KeptJson, name: string): JsonMember | undefined {
  return body.members.find((member) => member.name === name);
}

function toReplacement(body: KeptJson, splice: Splice): Edit[] {
  const member = findMember(body, splice.field);
  const places = [...(member === undefined ? [] : [member]), ...(splice.everyPlace === true ? (body.modelPlaces ?? []) : [])];
  return places.map(({ valueStart, valueEnd }) => ({ from: valueStart, to: valueEnd, text: splice.json }));
}

function toInsertion(body: KeptJson, splices: readonly Splice[]): Edit | undefined {
  const added = splices.filter(({ field, everyPlace }) => everyPlace !== true && findMember(body, field) === undefined);
  if (added.length === 0) return undefined;
  const text = added.map((splice) => `${JSON.stringify(splice.field)}:${splice.json}`).join(',');
  return { from: body.insertAt, to: body.insertAt, text: body.members.length === 0 ? text : `${text},` };
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

/** After an escaped quote there are often more (JSON inside a text), and a native call for each takes thirty times as long as a look at each byte. */
const walkedBytes = 64;

export function findClosingQuote(bytes: Buffer, start: number): number | undefined {
  let from = start + 1;
  for (let end = bytes.indexOf(quote, from); end >= 0; end = bytes.indexOf(quote, from)) {
    if (!isEscaped(bytes, end, from)) return end;
    from = end + 1;
    for (const until = from + walkedBytes; from < until; from += 1) {
      const byte = bytes[from];
      if (byte === quote) return from;
      if (byte === backslash) from += 1;
    }
  }
  return undefined;
}

/** `undefined` when it is no JSON; native, and so far faster than any scanner of ours. */
function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

function findAmbiguity(members: readonly JsonMember[], names: ReadonlySet<string>, path: string): Refusal | undefined {
  const seen = new Set<string>();
  for (const member of members) {
    const folded = fold(member.name);
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

/** Go's encoding/json, which some providers use, matches names without case, by Unicode folding (U+017F is an s, U+212A a k). */
function fold(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** Ten times as many as any API has. An object of hundreds of thousands would hold up every other request. */
export const mostMembers = 1000;

/** Members of the object whose brace stands at `start`, up to the first beyond the bound. The text is known to be valid JSON. */
export function readMembers(bytes: Buffer, start: number): { members: JsonMember[]; end: number } {
  const members: JsonMember[] = [];
  let position = skipSpace(bytes, start + 1);
  while (bytes[position] !== closeBrace && members.length <= mostMembers) {
    const keyStart = position;
    const keyEnd = skipString(bytes, keyStart);
    const raw = bytes.toString('utf8', keyStart + 1, keyEnd - 1);
    const escaped = raw.includes('\\');
    const valueStart = skipSpace(bytes, skipSpace(bytes, keyEnd) + 1);
    const valueEnd = skipValue(bytes, valueStart);
    members.push({ name: escaped ? (JSON.parse(`"${raw}"`) as string) : raw, escaped, keyStart, valueStart, valueEnd });
    position = skipSpace(bytes, valueEnd);
    if (bytes[position] === comma) position = skipSpace(bytes, position + 1);
  }
  return { members, end: position + 1 };
}

export function skipSpace(bytes: Buffer, start: number): number {
  let position = start;
  while (position < bytes.length) {
    const byte = bytes[position];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
    position += 1;
  }
  return position;
}

/** Offset after the value that starts at `start`. */
export function skipValue(bytes: Buffer, start: number): number {
  const first = bytes[start];
  if (first === quote) return skipString(bytes, start);
  if (first === 0x7b || first === 0x5b) return skipNested(bytes, start);
  let position = start;
  while (position < bytes.length && !isEndOfScalar(bytes[position] as number)) position += 1;
  return position;
}

function isEndOfScalar(byte: number): boolean {
  return byte === comma || byte === closeBrace || byte === closeBracket || byte <= 0x20;
}

function skipNested(bytes: Buffer, start: number): number {
  let depth = 0;
  let position = start;
  do {
    const byte = bytes[position];
    if (byte === quote) {
      position = skipString(bytes, position);
      continue;
    }
    if (byte === 0x7b || byte === 0x5b) depth += 1;
    else if (byte === closeBrace || byte === closeBracket) depth -= 1;
    position += 1;
  } while (depth > 0);
  return position;
}

/** Offset after the closing quote of a string that is known to have one. Long texts are the bulk of a prompt, so quotes are looked for natively. */
function skipString(bytes: Buffer, start: number): number {
  return (findClosingQuote(bytes, start) ?? bytes.length) + 1;
}

/** An odd number of backslashes before the quote; `from` bounds the look back, so that the whole stays linear. */
function isEscaped(bytes: Buffer, at: number, from: number): boolean {
  let position = at;
  while (position > from && bytes[position - 1] === backslash) position -= 1;
  return (at - position) % 2 === 1;
}

function refuse(message: string): JsonScan {
  return { ok: false, refusal: invalid(message) };
}

function invalid(message: string, param?: string): Refusal {
  return { code: 'invalid_request', message, ...(param === undefined ? {} : { param }) };
}
