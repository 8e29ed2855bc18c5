import type { Meter } from '../dialect.ts';
import { type ElementSplitter, mostHeldBytes } from './elements.ts';

/** Lets a list through, each element when it is complete. */
export interface WholeElements extends Pick<Meter, 'endWith' | 'isCutShort'> {
  /** Takes the next bytes, which the splitter has just seen, and gives what may go on now. */
  push(chunk: Buffer): readonly Buffer[];
  /** what is held: at the proper end it belongs to the list */
  rest(): readonly Buffer[];
}

/**
 * No client can use half a JSON object, so holding it delays nobody; and where a list breaks off, the error becomes its last element and the whole stays JSON. One of more than
 * a megabyte (an image) goes on in pieces: a list that breaks off there cannot be ended.
 */
export function makeWholeElements(splitter: ElementSplitter): WholeElements {
  let held: Buffer[] = [];
  /** the beginning of the element under way has gone on */
  let inPieces = false;

  function take(): readonly Buffer[] {
    const taken = held;
    held = [];
    return taken;
  }

  return {
    push(chunk) {
      const pending = splitter.pendingBytes();
      const inChunk = Math.min(pending, chunk.length);
      const whole = chunk.subarray(0, chunk.length - inChunk);
      const rest = chunk.subarray(chunk.length - inChunk);
      const startsHere = pending === inChunk;
      // an element that went on in pieces has ended in this chunk, or another has begun
      if (startsHere) inPieces = pending > mostHeldBytes;
      const passed = whole.length > 0 ? [...take(), whole] : [];
      if (rest.length === 0) return passed;
      if (!inPieces) held.push(rest);
      if (inPieces) return [...passed, rest];
      if (pending <= mostHeldBytes) return passed;
      inPieces = true;
      return [...passed, ...take()];
    },
    rest: take,
    endWith(element) {
      return inPieces
        ? undefined
        : { before: `[${element}]`, open: `${element}]`, afterElement: `,${element}]`, closed: '' }[splitter.state()];
    },
    isCutShort: () => splitter.isOpenList(),
  };
}
