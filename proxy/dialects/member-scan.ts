/** Looks for one member of a JSON object that passes by in chunks. */
export interface MemberScan {
  push(chunk: Buffer): void;
  /** the parsed value of the last complete top-level member of that name */
  value(): unknown;
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
 * Finds a top-level member without keeping the document: an embeddings answer has many megabytes and its `usage` at the end, while text that
 * looks like one may stand anywhere inside.
 * @param name written without escapes
 */
export function makeMemberScan(name: string): MemberScan {
  const wanted = Buffer.from(name);
  let depth = 0;
  let inString = false;
  let escaped = false;
  let expectsName = false;
  let matched = 0;
  let capturing = false;
  let parts: Buffer[] = [];
  let partsBytes = 0;
  let found: unknown;

  /** `matched` counts the characters of the name that fit so far; one that does not makes it NaN, which nothing equals. */
  function inside(byte: number): void {
    if (escaped) {
      escaped = false;
      return;
    }
    if (byte === quote) inString = false;
    else if (byte === backslash) escaped = true;
    if (inString && expectsName) matched = wanted[matched] === byte ? matched + 1 : Number.NaN;
  }

  /** Gives true when the byte ends the value that is being captured. */
  function outside(byte: number): boolean {
    if (byte === quote) {
      inString = true;
      if (expectsName) matched = 0;
      return false;
    }
    if (opening.has(byte)) {
      depth += 1;
      if (depth === 1) expectsName = byte === openingBrace;
      return false;
    }
    if (closing.has(byte)) depth -= 1;
    if (byte === comma && depth === 1) expectsName = true;
    return capturing && (depth === 0 || (byte === comma && depth === 1));
  }

  function keep(part: Buffer): void {
    partsBytes += part.length;
    if (partsBytes <= maximumValueBytes) parts.push(part);
  }

  function finish(part: Buffer): void {
    keep(part);
    capturing = false;
    if (partsBytes <= maximumValueBytes) found = parseJson(Buffer.concat(parts).toString()) ?? found;
    parts = [];
    partsBytes = 0;
  }

  return {
    push(chunk) {
      let start = 0;
      for (let index = 0; index < chunk.length; index += 1) {
        const byte = chunk[index] ?? 0;
        if (inString) {
          inside(byte);
        } else if (byte === colon && depth === 1 && expectsName) {
          expectsName = false;
          capturing = matched === wanted.length;
          start = index + 1;
        } else if (outside(byte)) {
          finish(chunk.subarray(start, index));
        }
      }
      if (capturing) keep(chunk.subarray(start));
    },
    value: () => found,
  };
}

/** undefined for what is no JSON; an upstream may send anything. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
