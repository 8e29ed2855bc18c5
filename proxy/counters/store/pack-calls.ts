import { tagOf } from '../../../core/hash-tag.ts';
import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import { type Afterwards, keyIdOf, toAfterwardsCall } from '../scripts/afterwards.ts';
import type { Packed } from './settlement-queue.ts';

export interface StoreCall extends RedisScriptCall {
  readonly command: 'settle' | 'release' | 'push';
  /** what is given back by it */
  readonly frees?: readonly Freed[];
}

/** Something that was held for this key is free again. */
export interface Freed {
  /** as the store has it (holder.ts) */
  readonly keyId: string;
  /** requests that were counted too, and not only tokens, money or a slot */
  readonly requests: boolean;
}

/** What happens to requests afterwards, or a call that stays one of its own. */
export type Told = Afterwards | { readonly what: 'call'; readonly call: StoreCall };

interface Run {
  readonly items: Afterwards[];
  readonly positions: number[];
}

/** One script holds up everybody else: so many take a millisecond or two. */
const mostTogether = 64;

/** Few calls for what is told of the keys of one tag: in its order, up to a call of its own between. */
export function packCalls(told: readonly Told[], { clock, nameNext }: { clock: string; nameNext: () => string }): Packed<StoreCall>[] {
  let run: Run | undefined;
  const order: (Run | Packed<StoreCall>)[] = [];
  for (const [position, item] of told.entries()) {
    if (item.what === 'call') {
      run = undefined;
      order.push({ call: item.call, positions: [position] });
      continue;
    }
    if (run === undefined || run.items.length >= mostTogether) {
      run = { items: [], positions: [] };
      order.push(run);
    }
    run.items.push(item);
    run.positions.push(position);
  }
  return order.map((entry) => {
    if ('call' in entry) return entry;
    const call = toAfterwardsCall(entry.items, { clock, name: nameNext() });
    return { call: { ...call, command: 'settle', frees: entry.items.flatMap(toFreed) }, positions: entry.positions };
  });
}

/** What one of them gives back: one or nothing. */
export function toFreed(told: Told): readonly Freed[] {
  if (told.what === 'call') return told.call.frees ?? [];
  if (told.what === 'settle') return [{ keyId: told.settlement.keyId, requests: told.settlement.refundRequest }];
  return told.what === 'end' ? [{ keyId: told.admission.keyId, requests: told.unspentRequests > 0 }] : [];
}

export function tagOfTold(told: Told): string {
  return told.what === 'call' ? tagOfCall(told.call) : tagOf(keyIdOf(told));
}

/** All keys of a call have one hash tag. */
function tagOfCall({ parameters }: RedisScriptCall): string {
  return /\{(.*?)\}/.exec(parameters[0] ?? '')?.[1] ?? '';
}
