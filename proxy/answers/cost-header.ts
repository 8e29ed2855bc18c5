import type { Exchange } from '../exchange.ts';
import { costSoFar, toShownCost } from '../reservations/cost-so-far.ts';

export const costHeader = 'x-keywright-cost-usd';

/** A whole answer of this size is held back until its cost is known; nobody can read the half of a JSON object. */
const mostHeldBytes = 65_536;

/** An answer that may be held: one JSON object, not longer than that as far as it says, from a channel whose price is known. */
interface HoldQuestion {
  readonly contentType: string | undefined;
  readonly contentLength: string | undefined;
}

/** What is held of an answer. */
export interface HeldAnswer {
  /** gives what has to go on now: nothing yet, or everything when it has become too long to be held */
  add(pieces: readonly Buffer[]): readonly Buffer[] | undefined;
  /** all of it */
  take(): readonly Buffer[];
}

/** Undefined for an answer that flows. */
export function holdAnswer(exchange: Exchange, { contentType = '', contentLength }: HoldQuestion): HeldAnswer | undefined {
  const isPriced = exchange.channel !== undefined && exchange.prices.has(exchange.channel.id);
  const isShort = contentLength === undefined || Number(contentLength) <= mostHeldBytes;
  if (!isPriced || !isShort || exchange.shape?.stream === true || !/^\s*application\/json\b/i.test(contentType)) return undefined;
  const held: Buffer[] = [];
  let bytes = 0;
  return {
    add(pieces) {
      held.push(...pieces);
      bytes += pieces.reduce((sum, piece) => sum + piece.length, 0);
      return bytes > mostHeldBytes ? held : undefined;
    },
    take: () => held,
  };
}

/** The value when the cost of the whole answer is known; undefined when something in it has no price. */
export function toCostValue(exchange: Exchange): string | undefined {
  return exchange.meter === undefined ? undefined : toShownCost(costSoFar(exchange));
}

/** RFC 9110 section 6.5: only a client that says so gets trailers, and HTTP/1.0 has none. */
export function wantsTrailers({ request }: Pick<Exchange, 'request'>): boolean {
  return request.httpVersion === '1.1' && /(?:^|,)\s*trailers\s*(?:,|;|$)/i.test(String(request.headers.te ?? ''));
}
