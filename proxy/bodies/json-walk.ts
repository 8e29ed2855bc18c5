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

export const quote = 0x22;
const backslash = 0x5c;
export const comma = 0x2c;
const closeBrace = 0x7d;
export const closeBracket = 0x5d;

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

/** Offset of the next byte that is no white space. */
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

/** After an escaped quote there are often more (JSON inside a text), and a native call for each takes thirty times as long as a look at each byte. */
const walkedBytes = 64;

/** Offset of the quote that ends the string whose first quote stands at `start`; undefined where none does. */
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
