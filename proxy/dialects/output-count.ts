/** Counts the output that has passed, for an answer whose usage the provider does not get to tell. */
export interface OutputCount {
  add(text: unknown): boolean;
  tokens(): number;
}

const bytesPerToken = 4;

/** Each delta is one token at least, and four bytes are about one: the larger of both, so that neither tiny nor huge deltas count too little. */
export function makeOutputCount(): OutputCount {
  let deltas = 0;
  let bytes = 0;
  return {
    /** Adds one delta; gives whether it was any (empty ones and what is no text are not). */
    add(text) {
      if (typeof text !== 'string' || text === '') return false;
      deltas += 1;
      bytes += Buffer.byteLength(text);
      return true;
    },
    tokens: () => Math.max(deltas, Math.ceil(bytes / bytesPerToken)),
  };
}
