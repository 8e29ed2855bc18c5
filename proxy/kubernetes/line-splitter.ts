/** Cuts a stream of bytes into lines, wherever the chunks were cut: also inside a UTF-8 character, which is decoded only when its line is whole. */
export interface LineSplitter {
  /** the lines that this chunk completes, without their end; empty ones are left out */
  push(chunk: Uint8Array): string[];
  /** bytes of the line that is not complete yet */
  readonly pendingBytes: number;
}

const lineFeed = 0x0a;

export function makeLineSplitter(): LineSplitter {
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  return {
    push(chunk) {
      const lines: string[] = [];
      let start = 0;
      for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
        const line = Buffer.concat([...pending, chunk.subarray(start, end)]).toString('utf8');
        pending = [];
        pendingBytes = 0;
        start = end + 1;
        if (line.trim() !== '') lines.push(line);
      }
      if (start < chunk.length) {
        pending.push(chunk.subarray(start));
        pendingBytes += chunk.length - start;
      }
      return lines;
    },
    get pendingBytes() {
      return pendingBytes;
    },
  };
}
