import type { Splice } from '../dialects/dialect.ts';
import type { ByteList } from './byte-list.ts';
import { decidingNames, type JsonBody } from './json-scan.ts';
import type { JsonMember } from './json-walk.ts';

/** What is needed of a JSON object once its shape is known. */
export interface KeptJson extends Omit<JsonBody, 'bytes'> {
  /** as they arrived */
  readonly bytes: ByteList;
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
