import { isUtf8 } from 'node:buffer';
import type { Refusal } from '../../core/refusals.ts';
import type { Body, Splice } from '../dialects/dialect.ts';
import type { ByteList } from './byte-list.ts';
import { toMultipartType } from './content-type.ts';
import { type PartHeaders, parsePartHeaders } from './part-headers.ts';

/** One part of a form with the offsets of its bytes. */
export interface FormPart extends PartHeaders {
  /** of its headers: after the line of the boundary */
  readonly start: number;
  readonly valueStart: number;
  /** before the line break that belongs to the next boundary */
  readonly valueEnd: number;
}

/** A form as the provider will read it, with offsets, so that the client's own bytes can be forwarded. */
export interface MultipartBody {
  readonly bytes: ByteList;
  readonly boundary: string;
  readonly parts: readonly FormPart[];
  /** by name: the first short text, or all files (`FileBytes`) where one of that name is a file */
  readonly value: Body;
}

/** A file in a form. */
export interface FileBytes {
  readonly length: number;
  /** its bytes from `from` up to `to`, or up to its end where that comes first */
  read(from: number, to: number): Buffer;
}

/** The files of a field in `MultipartBody.value`; empty where there is none, and for JSON, in which nothing is a file. */
export function filesOf(body: Body, name: string): readonly FileBytes[] {
  const value = body[name];
  return value instanceof FileList ? value.files : [];
}

/** A type that no JSON can be taken for. */
class FileList {
  readonly files: FileBytes[] = [];
}

export type MultipartScan = { readonly ok: true; readonly body: MultipartBody } | { readonly ok: false; readonly refusal: Refusal };

/** OpenAI takes 16 images; with every option there is a form has some forty parts. */
const mostParts = 256;
const mostHeaderBytes = 4096;
/** Far more than any option has; prompts are longer. */
const mostKeptBytes = 4096;

/** Parts that decide what a request may do, costs or how its answer is read: short texts, each at most once, under exactly this name. */
const decidingNames: ReadonlySet<string> = new Set([
  'model',
  'models',
  'svg[model]',
  'prompt_rewriter[model]',
  'n',
  'stream',
  'response_format',
  'size',
  'quality',
  'partial_images',
  'output_format',
  'frame_count',
  'service_tier',
  '_charset_',
]);
/** Names of fields inside others that name a model; other ways to write them could be read by somebody. */
const modelNames: ReadonlySet<string> = new Set(['model', 'models']);

/**
 * Reads a form (RFC 7578). Gives its parts with the offsets of their bytes; refuses (`invalid_request`) whatever two readers could read differently: anything before the first
 * boundary or after the last, a boundary in the middle of a part, line breaks other than CRLF, odd headers, and parts that matter when they are doubled, files, long, no
 * UTF-8, or under a name that somebody might take for theirs. Linear in the length of the body.
 */
export function scanMultipart(bytes: ByteList, boundary: string): MultipartScan {
  const found = readParts(bytes, boundary);
  if ('why' in found) return refuse(found.why, found.param);
  const fault = findOddName(found.parts) ?? findOddPart(bytes, found.parts);
  if (fault !== undefined) return refuse(fault.why, fault.param);
  return { ok: true, body: { bytes, boundary, parts: found.parts, value: toValue(bytes, found.parts) } };
}

/** The client's own bytes with the named parts replaced, or added in front when they are absent; views, not copies. */
export function spliceMultipart({ bytes, boundary, parts }: MultipartBody, splices: readonly Splice[]): readonly Buffer[] {
  const edits = splices.map(({ field, json }) => {
    const part = parts.find(({ name }) => name === field);
    const text = `Content-Disposition: form-data; name="${field}"\r\n\r\n${toText(json)}`;
    // with its headers, since one of them may tell the length of the text that is replaced
    if (part !== undefined) return { from: part.start, to: part.valueEnd, text };
    return { from: 0, to: 0, text: `--${boundary}\r\n${text}\r\n` };
  });
  const pieces: Buffer[] = [];
  let position = 0;
  for (const { from, to, text } of edits.toSorted((left, right) => left.from - right.from)) {
    pieces.push(...bytes.cut(position, from), Buffer.from(text));
    position = to;
  }
  return [...pieces, ...bytes.cut(position, bytes.length)];
}

/** Whether a text can stand in a part without ending it; a client may choose any boundary, also one that is part of the provider's name of a model. */
export function mayHold({ boundary }: MultipartBody, text: string): boolean {
  return !text.includes(`--${boundary}`);
}

/** The content type under which the form is sent on. */
export function contentTypeOf({ boundary }: MultipartBody): string {
  return toMultipartType(boundary);
}

interface Fault {
  readonly why: string;
  readonly param?: string | undefined;
}

const lineBreak = '\r\n';
const emptyLine = Buffer.from('\r\n\r\n');

function readParts(bytes: ByteList, boundary: string): { readonly parts: readonly FormPart[] } | Fault {
  const delimiter = Buffer.from(`--${boundary}`);
  if (bytes.length === 0) return { why: 'the request body is empty; a form is expected' };
  if (!bytes.read(0, delimiter.length).equals(delimiter))
    return { why: 'the request body does not begin with the boundary of its content type' };
  const parts: FormPart[] = [];
  let position = delimiter.length;
  for (;;) {
    const after = bytes.read(position, position + 2).toString('latin1');
    if (after === '--') break;
    if (after !== lineBreak) return { why: 'the request body holds its boundary where no part begins or ends' };
    if (parts.length === mostParts) return { why: `the request body has more than ${mostParts} parts` };
    const part = readPart(bytes, position + 2, delimiter);
    if ('why' in part) return { ...part, why: `part ${parts.length + 1} of the request body ${part.why}` };
    parts.push(part);
    position = part.valueEnd + 2 + delimiter.length;
  }
  const rest = bytes.read(position + 2, position + 5).toString('latin1');
  return rest === '' || rest === lineBreak ? { parts } : { why: 'the request body goes on after its last boundary' };
}

function readPart(bytes: ByteList, start: number, delimiter: Buffer): FormPart | Fault {
  const head = bytes.read(start, start + mostHeaderBytes + emptyLine.length);
  const headEnd = head.indexOf(emptyLine);
  if (headEnd < 0) return { why: head.length > mostHeaderBytes ? `has more than ${mostHeaderBytes} bytes of headers` : 'does not end' };
  const headers = parsePartHeaders(head.toString('latin1', 0, headEnd));
  if ('why' in headers) return headers;
  const valueStart = start + headEnd + emptyLine.length;
  const next = bytes.indexOf(delimiter, start);
  if (next < 0) return { why: 'does not end with the boundary' };
  const valueEnd = next - lineBreak.length;
  // found anywhere else, it is a boundary to readers that take other line breaks, or none, before it
  const isWhole = valueEnd >= valueStart && bytes.read(valueEnd, next).toString('latin1') === lineBreak;
  return isWhole ? { ...headers, start, valueStart, valueEnd } : { why: 'holds the boundary where no line begins' };
}

function findOddName(parts: readonly FormPart[]): Fault | undefined {
  const seen = new Set<string>();
  for (const { name } of parts) {
    if (decidingNames.has(name)) {
      if (seen.has(name)) return { why: `the part '${name}' stands in the body twice`, param: name };
      seen.add(name);
      continue;
    }
    const param = toLookalike(name);
    if (param !== undefined) return { why: `the part '${name}' has a name that may be taken for '${param}'`, param };
  }
  return undefined;
}

/** `Model`, `model[]`, `model[0]`, `model.x`, `-model`: servers differ in what they make of case, brackets, dots and other signs. */
function toLookalike(name: string): string | undefined {
  const segments = name
    .toLowerCase()
    .split(/[[\].]+/)
    .map((segment) => segment.replaceAll(/^[-_]+|[-_]+$/g, ''))
    .filter((segment) => segment !== '');
  const [first = ''] = segments;
  if (decidingNames.has(first)) return first;
  if (segments.join('') === 'charset' && name.includes('_')) return '_charset_';
  return segments.find((segment) => modelNames.has(segment));
}

function findOddPart(bytes: ByteList, parts: readonly FormPart[]): Fault | undefined {
  for (const { name, fileName, contentType, valueStart, valueEnd } of parts) {
    if (!decidingNames.has(name)) continue;
    const fault = (why: string): Fault => ({ why: `the part '${name}' ${why}`, param: name });
    if (name === '_charset_') return fault('is not taken; texts are read as UTF-8');
    if (fileName !== undefined) return fault('has a file name; it has to be a text');
    if (contentType !== undefined && !/^text\/plain\s*(?:;\s*charset\s*=\s*"?(?:utf-?8|us-ascii)"?\s*)?$/i.test(contentType))
      return fault('has a content type other than text/plain in UTF-8');
    if (valueEnd - valueStart > mostKeptBytes) return fault(`is longer than ${mostKeptBytes} bytes`);
    if (!isUtf8(bytes.read(valueStart, valueEnd))) return fault('is not valid UTF-8');
  }
  return undefined;
}

function toValue(bytes: ByteList, parts: readonly FormPart[]): Body {
  const fields = new Map<string, string | FileList>();
  for (const { name, fileName, valueStart, valueEnd } of parts) {
    const length = valueEnd - valueStart;
    const known = fields.get(name);
    if (fileName !== undefined) {
      const list = known instanceof FileList ? known : new FileList();
      list.files.push(toFile(bytes, valueStart, valueEnd));
      fields.set(name, list);
    } else if (known === undefined && length <= mostKeptBytes) {
      fields.set(name, bytes.read(valueStart, valueEnd).toString('utf8'));
    }
  }
  return Object.fromEntries(fields);
}

function toFile(bytes: ByteList, start: number, end: number): FileBytes {
  return { length: end - start, read: (from, to) => bytes.read(Math.min(start + from, end), Math.min(start + to, end)) };
}

/** Values come as JSON from the drivers; a form has texts. */
function toText(json: string): string {
  const value = JSON.parse(json) as unknown;
  return typeof value === 'string' ? value : json;
}

function refuse(why: string, param?: string): MultipartScan {
  return { ok: false, refusal: { code: 'invalid_request', message: why, ...(param === undefined ? {} : { param }) } };
}
