/** Lets the events of a `text/event-stream` through, each when it is complete. */
export interface WholeEvents {
  /** Takes the next bytes and gives what may go on now. */
  push(pieces: readonly Buffer[]): readonly Buffer[];
  /** What is held: at the proper end of a stream it belongs to it. */
  rest(): readonly Buffer[];
}

/** Of an answer that is no event stream: all of it goes on as it comes. */
export const noEvents: WholeEvents = { push: (pieces) => pieces, rest: () => [] };

/** An event longer than this goes on in pieces: a provider must not make us hold what it pleases. */
const mostHeldBytes = 1024 * 1024;

/** A blank line behind a line. CRLF CRLF ends as LF CRLF does. */
const blankLines = ['\n\n', '\n\r\n', '\r\r'];
const longestBlankLine = 3;

/**
 * No client sees the beginning of an event before its blank line, so holding it delays nobody; and where a stream breaks off, the error that we write behind it is an event
 * of its own: SDKs would otherwise fail at half a JSON text. Comments, which keep connections alive, go on at once. The bytes are those that came.
 * Source: WHATWG HTML, "Server-sent events", 9.2.6: an event is dispatched at its blank line.
 */
export function makeWholeEvents(): WholeEvents {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let lastBytes: Buffer = Buffer.alloc(0);

  function take(): readonly Buffer[] {
    const taken = held;
    held = [];
    heldBytes = 0;
    return taken;
  }

  function hold(rest: Buffer): void {
    if (rest.length === 0) return;
    held.push(rest);
    heldBytes += rest.length;
  }

  function pushOne(piece: Buffer): readonly Buffer[] {
    const end = findEnd(lastBytes, piece);
    lastBytes = toLastBytes(lastBytes, piece);
    const whole = end === 0 ? [] : [...take(), piece.subarray(0, end)];
    const rest = piece.subarray(end);
    const passes = heldBytes === 0 && isComment(rest);
    if (!passes) hold(rest);
    if (heldBytes > mostHeldBytes) return [...whole, ...take()];
    return passes && rest.length > 0 ? [...whole, rest] : whole;
  }

  return {
    push: (pieces) => pieces.flatMap(pushOne),
    rest: take,
  };
}

/** How many bytes of the piece belong to complete events; `before` are the last ones that came before it. */
function findEnd(before: Buffer, piece: Buffer): number {
  const seam = Buffer.concat([before, piece.subarray(0, longestBlankLine)]);
  const inSeam = lastEnd(seam) - before.length;
  return Math.max(0, inSeam, lastEnd(piece));
}

/** Behind the last blank line; 0: there is none. */
function lastEnd(bytes: Buffer): number {
  return Math.max(...blankLines.map((blank) => toEnd(bytes.lastIndexOf(blank, undefined, 'latin1'), blank)));
}

function toEnd(index: number, blank: string): number {
  return index === -1 ? 0 : index + blank.length;
}

function toLastBytes(before: Buffer, piece: Buffer): Buffer {
  const tail = piece.length >= longestBlankLine ? piece : Buffer.concat([before, piece]);
  // a copy: a view would keep the whole piece
  return Buffer.from(tail.subarray(-longestBlankLine));
}

/** Whole lines that say nothing: comments and blank ones. */
function isComment(bytes: Buffer): boolean {
  return bytes.length < 1024 && /^(?:(?::[^\r\n]*)?(?:\r\n|\n|\r))*$/.test(bytes.toString('latin1'));
}
