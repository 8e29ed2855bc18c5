/** Bytes as they arrived, piece by piece, read as one sequence and never put together: a second copy of a large body would be as large again. */
export interface ByteList {
  readonly length: number;
  readonly pieces: readonly Buffer[];
  /** Offset of the first occurrence that begins at `from` or later; -1 when there is none. */
  indexOf(needle: Buffer, from: number): number;
  /** The bytes from `from` up to `to` (or the end) in one Buffer: a view where they lie in one piece, else a copy. */
  read(from: number, to: number): Buffer;
  /** Views of the bytes from `from` up to `to`, nothing copied. */
  cut(from: number, to: number): readonly Buffer[];
  /** All of them in one Buffer, which is a copy unless they lie in one piece. */
  join(): JoinedBytes;
}

export interface JoinedBytes {
  readonly bytes: Buffer;
  /** Gives the copy back at once: a collection may be many requests away, and frees on another thread, which a busy machine lets wait. `bytes` is empty afterwards if it was one. */
  drop(): void;
}

export function makeByteList(given: readonly Buffer[]): ByteList {
  const pieces = given.filter((piece) => piece.length > 0);
  const starts: number[] = [];
  let length = 0;
  for (const piece of pieces) {
    starts.push(length);
    length += piece.length;
  }

  /** The piece in which the byte at this offset lies; one beyond the last for the end. */
  function locate(offset: number): number {
    let low = 0;
    let high = pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    return offset >= length ? pieces.length : low - 1;
  }

  function cut(from: number, to: number): readonly Buffer[] {
    const end = Math.min(to, length);
    const views: Buffer[] = [];
    for (let index = locate(from); index < pieces.length && (starts[index] as number) < end; index += 1) {
      const start = starts[index] as number;
      views.push((pieces[index] as Buffer).subarray(Math.max(0, from - start), end - start));
    }
    return views;
  }

  function read(from: number, to: number): Buffer {
    const views = cut(from, to);
    return views.length === 1 ? (views[0] as Buffer) : Buffer.concat(views);
  }

  function join(): JoinedBytes {
    const [only] = pieces;
    if (only !== undefined && pieces.length === 1) return { bytes: only, drop: () => undefined };
    // never out of the pool, which others have a part of
    const bytes = Buffer.allocUnsafeSlow(length);
    for (const [index, piece] of pieces.entries()) piece.copy(bytes, starts[index]);
    return { bytes, drop: () => void bytes.buffer.transfer(0) };
  }

  function indexOf(needle: Buffer, from: number): number {
    let position = from;
    for (let index = locate(from); index < pieces.length; index += 1) {
      const start = starts[index] as number;
      const piece = pieces[index] as Buffer;
      const inside = piece.indexOf(needle, position - start);
      if (inside >= 0) return start + inside;
      const end = start + piece.length;
      // what begins in this piece and ends beyond it
      const seam = Math.max(position, end - needle.length + 1);
      const across = read(seam, end + needle.length - 1).indexOf(needle);
      if (across >= 0) return seam + across;
      position = end;
    }
    return -1;
  }

  return { length, pieces, indexOf, read, cut, join };
}
