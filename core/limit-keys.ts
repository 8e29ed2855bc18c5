import { tagOf } from './hash-tag.ts';
import type { NamedWindow } from './limit-windows.ts';

/** Where Redis keeps what is counted under an id: one hash tag for all keys of a virtual key, so that one node of a cluster holds what one script needs. */
export function limitStemOf(holder: string): string {
  return `kw:{${tagOf(holder)}}`;
}

/** A sorted set: the requests in flight, by their deadlines. */
export function slotsKey(holder: string): string {
  return `${limitStemOf(holder)}:slots:${holder}`;
}

/** A hash: the sub-buckets of one window. */
export function windowKey(holder: string, { span, name }: Pick<NamedWindow, 'span' | 'name'>): string {
  return `${limitStemOf(holder)}:${span}:${holder}:${name}`;
}
