import type { Dispatcher } from 'undici';

/** A body on its way to a provider, cut into pieces; read as often as it is sent. */
export interface OutgoingBody extends Iterable<Buffer> {
  readonly length: number;
  /** so small that it is handed over as one Buffer */
  readonly small: Buffer | undefined;
  /** Nobody will send it again: lets go of its bytes, also where somebody (undici, until the answer has ended) still holds the body itself. */
  drop(): void;
}

/** What undici is given: it takes anything that can be iterated (its documentation, `Dispatcher.dispatch`), which its types do not tell. */
export function toDispatched(body: OutgoingBody): NonNullable<Dispatcher.DispatchOptions['body']> {
  return body.small ?? (body as Iterable<Buffer> as unknown as Buffer);
}

/** Written in one piece, what has to be encrypted would be held twice; and the next piece waits until the provider has taken this one. */
const pieceBytes = 65_536;

export function makeOutgoingBody(given: readonly Buffer[]): OutgoingBody {
  let pieces = given;
  const length = given.reduce((sum, piece) => sum + piece.length, 0);
  const small = length <= pieceBytes ? (given.length === 1 ? given[0] : Buffer.concat(given)) : undefined;
  return {
    length,
    small,
    *[Symbol.iterator]() {
      for (const piece of pieces) {
        for (let start = 0; start < piece.length; start += pieceBytes) yield piece.subarray(start, start + pieceBytes);
      }
    },
    drop() {
      pieces = [];
    },
  };
}
