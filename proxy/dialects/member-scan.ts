import { parseJson } from '../../core/json.ts';

/** Looks for members of a JSON object that passes by in chunks. */
export interface MemberScan {
  push(chunk: Buffer): void;
  /** the parsed value of the last complete top-level member of that name, one of those looked for */
  value(name: string): unknown;
  /** how many objects have begun in the list that the member of that name is */
  items(name: string): number;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const opening = new Set([0x7b, 0x5b]);
const closing = new Set([0x7d, 0x5d]);
const openingBrace = 0x7b;
/** usage objects have some hundred bytes */
const maximumValueBytes = 64 * 1024;

/**
 * Finds top-level members without keeping the document: an embeddings answer has many megabytes and its `usage` at the end, while text that
 * looks like one may stand anywhere inside.
 * @param names written without escapes
 */
export function makeMemberScan(...names: readonly string[]): MemberScan {
  const wanted = names.map((name) => ({ name, bytes: Buffer.from(name) }));
  let depth = 0;
  let inString = false;
  let escaped = false;
  let expectsName = false;
  let nameLength = 0;
  /** those of `wanted` that the name which is being read still may be */
  let possible: typeof wanted = [];
  let capturing: string | undefined;
  let parts: Buffer[] = [];
  let partsBytes = 0;
  const found = new Map<string, unknown>();
  const items = new Map<string, number>();

  function inside(byte: number): void {
    if (escaped) {
      escaped = false;
      return;
    }
    if (byte === quote) inString = false;
    else if (byte === backslash) escaped = true;
    if (!inString || !expectsName || possible.length === 0) return;
    possible = possible.filter(({ bytes }) => bytes[nameLength] === byte);
    nameLength += 1;
  }

  function startName(): void {
    nameLength = 0;
    possible = wanted;
  }

  /** Gives true when the byte ends the value that is being captured. */
  function outside(byte: number): boolean {
    if (byte === quote) {
      inString = true;
      if (expectsName) startName();
      return false;
    }
    if (opening.has(byte)) {
      depth += 1;
      if (depth === 1) expectsName = byte === openingBrace;
      if (depth === 3) countItem();
      return false;
    }
    if (closing.has(byte)) depth -= 1;
    if (byte === comma && depth === 1) expectsName = true;
    return capturing !== undefined && (depth === 0 || (byte === comma && depth === 1));
  }

  function countItem(): void {
    if (capturing !== undefined) items.set(capturing, (items.get(capturing) ?? 0) + 1);
  }

  /** Gives the last byte of the string that was looked at. */
  function goInside(chunk: Buffer, index: number): number {
    const end = expectsName || escaped ? index : skipPlain(chunk, index);
    inside(chunk[end] ?? 0);
    return end;
  }

  function keep(part: Buffer): void {
    partsBytes += part.length;
    if (partsBytes <= maximumValueBytes) parts.push(part);
  }

  function finish(part: Buffer): void {
    keep(part);
    const value = partsBytes <= maximumValueBytes ? parseJson(Buffer.concat(parts).toString()) : undefined;
    if (capturing !== undefined && value !== undefined && value !== null) found.set(capturing, value);
    capturing = undefined;
    parts = [];
    partsBytes = 0;
  }

  return {
    push(chunk) {
      let start = 0;
      for (let index = 0; index < chunk.length; index += 1) {
        const byte = chunk[index] ?? 0;
        if (inString) {
          index = goInside(chunk, index);
        } else if (byte === colon && depth === 1 && expectsName) {
          expectsName = false;
          capturing = possible.find(({ bytes }) => bytes.length === nameLength)?.name;
          start = index + 1;
        } else if (outside(byte)) {
          finish(chunk.subarray(start, index));
        }
      }
      if (capturing !== undefined) keep(chunk.subarray(start));
    },
    value: (name) => found.get(name),
    items: (name) => items.get(name) ?? 0,
  };
}

/** To the quote that ends a string, where nothing in it is escaped: pictures are strings of megabytes. Else to the next byte, the last one at most. */
function skipPlain(chunk: Buffer, index: number): number {
  const found = chunk.indexOf(quote, index);
  const end = found === -1 ? chunk.length - 1 : found;
  return chunk.subarray(index, end + 1).includes(backslash) ? index : end;
}
