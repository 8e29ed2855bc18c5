import { parseJson } from '../../../core/json.ts';

/** What is known of an event that is too long to be read: images stand in it. */
export interface LongEvent {
  push(piece: Buffer): void;
  /** another event has begun */
  clear(): void;
  /** its beginning names one of these types */
  isOneOf(types: ReadonlySet<unknown>): boolean;
  /** the last value of a member `usage` near its end that is one flat object or holds such */
  usage(): unknown;
}

const headBytes = 512;
const tailBytes = 65_536;

/**
 * Keeps beginning and end. Inside a JSON text a quotation mark is escaped, so that `"usage":{` is a member wherever it stands, and that of the response is the last: behind the output
 * and what the response repeats of its request.
 */
export function makeLongEvent(): LongEvent {
  let head: Buffer = Buffer.alloc(0);
  let tail: Buffer = Buffer.alloc(0);
  return {
    push(piece) {
      // copies: views would keep the whole pieces
      if (head.length < headBytes) head = Buffer.concat([head, piece.subarray(0, headBytes - head.length)]);
      tail = Buffer.from(Buffer.concat([tail, piece.subarray(-tailBytes)]).subarray(-tailBytes));
    },
    clear() {
      if (head.length === 0) return;
      head = Buffer.alloc(0);
      tail = Buffer.alloc(0);
    },
    isOneOf(types) {
      const [, type] = /"type"\s*:\s*"([a-z_.]+)"/.exec(head.toString('latin1')) ?? [];
      return type !== undefined && types.has(type);
    },
    usage() {
      const found = tail
        .toString()
        .match(/"usage"\s*:\s*\{(?:[^{}]|\{[^{}]*\})*\}/g)
        ?.at(-1);
      return found === undefined ? undefined : parseJson(found.slice(found.indexOf('{')));
    },
  };
}
