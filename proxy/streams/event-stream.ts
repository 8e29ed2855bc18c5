/** One event of a `text/event-stream`, or a piece of one that was too long to be looked into. */
export interface StreamEvent {
  /** exactly the bytes that came, terminators included; those of all events together are the stream */
  readonly bytes: Buffer;
  /** the `event` field */
  readonly name: string | undefined;
  /** the `data` lines, joined; undefined for comments, blank lines and what was too long */
  readonly data: string | undefined;
}

export interface EventSplitter {
  /** Takes the next bytes and gives the events that are complete now. */
  push(chunk: Buffer): StreamEvent[];
  /** The stream is over: gives what is left, an event without its blank line if need be. */
  end(): StreamEvent[];
}

/** An event longer than this is passed on in pieces: a provider must not make us hold what it pleases. */
const maximumEventBytes = 1024 * 1024;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Splits a server-sent event stream at its blank lines, wherever the network has cut it: inside a character, between CR and LF.
 * Lines end with LF, CRLF or CR; a BOM may stand in front. The result does not depend on the cuts.
 * Source: WHATWG HTML, "Server-sent events", 9.2.5 and 9.2.6.
 */
export function makeEventSplitter(): EventSplitter {
  const boundary = makeBoundaryFinder();
  let held: Buffer[] = [];
  let heldBytes = 0;
  let first = true;
  // Of an event that was too long some has been passed on already.
  let cut = false;

  function take(last: Buffer): StreamEvent {
    const bytes = held.length === 0 ? last : Buffer.concat([...held, last]);
    const readable = !cut && bytes.length <= maximumEventBytes;
    const fields = readable ? parseFields(bytes, first) : { name: undefined, data: undefined };
    held = [];
    heldBytes = 0;
    first = false;
    return { bytes, ...fields };
  }

  function hold(rest: Buffer): StreamEvent[] {
    if (rest.length === 0) return [];
    if (!cut && heldBytes + rest.length <= maximumEventBytes) {
      held.push(rest);
      heldBytes += rest.length;
      return [];
    }
    cut = true;
    return [take(rest)];
  }

  return {
    push(chunk) {
      const events: StreamEvent[] = [];
      let start = 0;
      for (let index = 0; index < chunk.length; index += 1) {
        const end = boundary(chunk[index] ?? 0, index);
        if (end === undefined) continue;
        if (end > start || heldBytes > 0) events.push(take(chunk.subarray(start, end)));
        cut = false;
        start = end;
      }
      events.push(...hold(chunk.subarray(start)));
      return events;
    },
    end() {
      return heldBytes === 0 ? [] : [take(Buffer.alloc(0))];
    },
  };
}

/**
 * Gives, byte by byte, the index at which an event ends: behind this byte, or before it when only this byte shows that the CR in front was
 * no CRLF. Where lines have been ending with a lone CR, a CR is not waited upon, or each event would be late by one.
 */
function makeBoundaryFinder(): (byte: number, index: number) => number | undefined {
  let lineIsEmpty = true;
  let lineEndedWithCr = false;
  let afterCr = false;
  let waiting = false;

  function endEvent(): void {
    lineIsEmpty = true;
    lineEndedWithCr = false;
    waiting = false;
  }

  /** Returns true when the byte ends an event. */
  function endLine(byte: number): boolean {
    if (!lineIsEmpty) {
      lineIsEmpty = true;
      lineEndedWithCr = byte === carriageReturn;
      return false;
    }
    waiting = byte === carriageReturn && !lineEndedWithCr;
    if (waiting) return false;
    endEvent();
    return true;
  }

  return (byte, index) => {
    const completesCrLf = afterCr && byte === lineFeed;
    afterCr = byte === carriageReturn;
    if (completesCrLf) {
      lineEndedWithCr = false;
      if (!waiting) return undefined;
      endEvent();
      return index + 1;
    }
    const endsBefore = waiting;
    if (endsBefore) endEvent();
    if (byte === lineFeed || byte === carriageReturn) {
      if (endLine(byte)) return index + 1;
    } else {
      lineIsEmpty = false;
    }
    return endsBefore ? index : undefined;
  };
}

function parseFields(bytes: Buffer, first: boolean): { name: string | undefined; data: string | undefined } {
  const marked = first && bytes.subarray(0, byteOrderMark.length).equals(byteOrderMark);
  const lines = bytes.toString('utf8', marked ? byteOrderMark.length : 0).split(/\r\n|\n|\r/);
  const data = lines.map((line) => toField(line, 'data')).filter((value) => value !== undefined);
  const names = lines.map((line) => toField(line, 'event')).filter((value) => value !== undefined);
  return { name: names.at(-1), data: data.length === 0 ? undefined : data.join('\n') };
}

function toField(line: string, field: string): string | undefined {
  if (line === field) return '';
  if (!line.startsWith(field) || line[field.length] !== ':') return undefined;
  const value = line.slice(field.length + 1);
  return value.startsWith(' ') ? value.slice(1) : value;
}

/** Puts neighbouring slices of one buffer together again, so that an untouched chunk goes on in one write. */
export function joinNeighbours(slices: readonly Buffer[]): readonly Buffer[] {
  const joined: Buffer[] = [];
  for (const slice of slices) {
    const last = joined.at(-1);
    if (slice.length === 0) continue;
    if (last !== undefined && last.buffer === slice.buffer && last.byteOffset + last.length === slice.byteOffset) {
      joined[joined.length - 1] = Buffer.from(last.buffer, last.byteOffset, last.length + slice.length);
    } else {
      joined.push(slice);
    }
  }
  return joined;
}
