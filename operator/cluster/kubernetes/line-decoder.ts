/** One object of a Kubernetes API is at most a few megabytes; what is longer comes from something else. */
const longestLineBytes = 32 * 1024 * 1024;

/**
 * Splits a byte stream into lines. Bytes are decoded only when a line is complete, so that a character that was cut by the network is whole again.
 * Throws a RangeError for a line that does not end.
 */
export function makeLineDecoder(): (chunk: Uint8Array) => string[] {
  let parts: Uint8Array[] = [];
  let length = 0;

  function take(part: Uint8Array): string {
    const line = parts.length === 0 ? part : Buffer.concat([...parts, part]);
    parts = [];
    length = 0;
    return Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('utf8');
  }

  return (chunk) => {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const line = take(chunk.subarray(start, end)).trim();
      if (line !== '') lines.push(line);
      start = end + 1;
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
      length += chunk.length - start;
      if (length > longestLineBytes) throw new RangeError('a line of the watch does not end');
    }
    return lines;
  };
}
