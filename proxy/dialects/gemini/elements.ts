import { parseJson } from '../../../core/json.ts';
import { makeMemberScan, type MemberScan } from '../member-scan.ts';
import type { Body } from '../dialect.ts';
import { isObject } from '../../../core/json.ts';

/** One JSON object of an answer. */
export interface Element {
  /** of one that was too long to be held only some members */
  readonly value: Body;
  readonly isWhole: boolean;
  readonly bytes: number;
}

/** Where a list of elements stood when its last complete element, or what stands between two, had come. */
export type ListState = 'before' | 'open' | 'afterElement' | 'closed';

export interface ElementSplitter {
  /** Takes the next bytes and gives the objects that are complete now. */
  push(chunk: Buffer): Element[];
  /** bytes of the object under way */
  pendingBytes(): number;
  state(): ListState;
  /** a list has begun and is not closed; within an element, as if that had not begun */
  isOpenList(): boolean;
}

const quote = 0x22;
const backslash = 0x5c;
/** An image comes as one element of some megabytes: what a provider sends is not held beyond this. */
export const mostHeldBytes = 1024 * 1024;
/** what is looked for in a longer one */
const membersOfLong = ['usageMetadata', 'modelVersion'] as const;

/**
 * Finds the outermost JSON objects of an answer, wherever the network has cut it: one object alone, the elements of a list, or the data of events (Google's have one line each). What
 * stands between them, `data:`, commas and brackets, is only looked at for where the list begins and ends.
 */
export function makeElementSplitter(): ElementSplitter {
  let depth = 0;
  let inString = false;
  let escaped = false;
  let state: ListState = 'before';
  let isList = false;
  let held: Buffer[] = [];
  let bytes = 0;
  let scan: MemberScan | undefined;

  function hold(piece: Buffer): void {
    bytes += piece.length;
    if (scan === undefined && bytes > mostHeldBytes) {
      scan = makeMemberScan(...membersOfLong);
      for (const each of held) scan.push(each);
      held = [];
    }
    if (scan === undefined) held.push(piece);
    else scan.push(piece);
  }

  function finish(): Element {
    const found = scan;
    const parsed = found === undefined ? parseJson(Buffer.concat(held).toString()) : undefined;
    const members = membersOfLong.map((name) => [name, found?.value(name)] as const);
    const element = { value: isObject(parsed) ? parsed : Object.fromEntries(members), isWhole: isObject(parsed), bytes };
    held = [];
    bytes = 0;
    scan = undefined;
    state = 'afterElement';
    return element;
  }

  /** Outside of any object. */
  function between(byte: number): void {
    if (byte === 0x5b) isList = true;
    if (byte === 0x5b) state = 'open';
    else if (byte === 0x2c) state = 'open';
    else if (byte === 0x5d) state = 'closed';
  }

  /** Within an object; gives true at its end. */
  function within(byte: number): boolean {
    if (inString) {
      if (escaped) escaped = false;
      else if (byte === backslash) escaped = true;
      else if (byte === quote) inString = false;
      return false;
    }
    if (byte === quote) inString = true;
    else if (byte === 0x7b || byte === 0x5b) depth += 1;
    else if (byte === 0x7d || byte === 0x5d) depth -= 1;
    return depth === 0;
  }

  return {
    push(chunk) {
      const elements: Element[] = [];
      let start = 0;
      for (let index = 0; index < chunk.length; index += 1) {
        const byte = chunk[index] ?? 0;
        if (depth > 0) {
          if (!within(byte)) continue;
          hold(chunk.subarray(start, index + 1));
          elements.push(finish());
        } else if (byte === 0x7b) {
          depth = 1;
          start = index;
        } else {
          between(byte);
        }
      }
      if (depth > 0) hold(chunk.subarray(start));
      return elements;
    },
    pendingBytes: () => bytes,
    state: () => state,
    isOpenList: () => isList && state !== 'closed',
  };
}
