import type { KeyLimits, WindowLimits } from './snapshot.ts';

/** One sliding window of one key or Channel, as counters, logs and metrics name it. */
export interface NamedWindow {
  /** unique within its holder and stable across edits of the amount: `rpm`, `tpd`, `rpm:gpt-4o*` … */
  readonly name: string;
  readonly unit: 'requests' | 'tokens';
  readonly span: 'minute' | 'day';
  readonly limit: number;
}

const kinds = [
  { name: 'rpm', unit: 'requests', span: 'minute' },
  { name: 'tpm', unit: 'tokens', span: 'minute' },
  { name: 'rpd', unit: 'requests', span: 'day' },
  { name: 'tpd', unit: 'tokens', span: 'day' },
] as const;

/** @param model the glob of an entry of `limits.models`; default: the holder's own limits */
export function toNamedWindows(limits: WindowLimits, model?: string): NamedWindow[] {
  return kinds.flatMap(({ name, unit, span }) => {
    const limit = limits[name];
    return limit === undefined ? [] : [{ name: model === undefined ? name : `${name}:${model}`, unit, span, limit }];
  });
}

/** Every window of the limits: their own, then those of each entry of `models`. Of two entries with one glob the first counts. */
export function allNamedWindows({ models = [], ...own }: KeyLimits): NamedWindow[] {
  const windows = new Map<string, NamedWindow>();
  for (const window of [...toNamedWindows(own), ...models.flatMap((entry) => toNamedWindows(entry, entry.model))])
    if (!windows.has(window.name)) windows.set(window.name, window);
  return [...windows.values()];
}
