import { compileGlobs } from '../../core/glob.ts';
import { allNamedWindows, type NamedWindow, toNamedWindows } from '../../core/limit-windows.ts';
import type { ChannelRecord, KeyLimits, KeyRecord } from '../../core/snapshot.ts';
import type { LimitWindow } from '../counters/counters.ts';

interface CompiledLimits {
  readonly own: readonly LimitWindow[];
  /** in the order of the manifest; the windows hold the key's own as well */
  readonly models: readonly { readonly matches: (model: string) => boolean; readonly windows: readonly LimitWindow[] }[];
}

// a record never changes: a new snapshot brings new ones, and the old ones' windows go with them
const compiled = new WeakMap<KeyRecord, CompiledLimits>();

/** The windows a request counts in: the key's own, and those of the first entry of `limits.models` that matches its model. */
export function toLimitWindows(record: KeyRecord, model: string | undefined): readonly LimitWindow[] {
  const limits = compiledOf(record);
  const entry = model === undefined ? undefined : limits?.models.find(({ matches }) => matches(model));
  return entry?.windows ?? limits?.own ?? [];
}

/** Every window of the key: its own, then those of each entry of `limits.models`. */
export function allLimitWindows({ limits }: KeyRecord): readonly LimitWindow[] {
  return limits === undefined ? [] : withShadow(allNamedWindows(limits), limits.mode === 'Shadow');
}

const channelWindows = new WeakMap<ChannelRecord, readonly LimitWindow[]>();

/** The windows of a Channel, which the requests of all keys share. */
export function toChannelWindows(channel: ChannelRecord): readonly LimitWindow[] {
  if (channel.limits === undefined) return [];
  const windows = channelWindows.get(channel) ?? withShadow(toNamedWindows(channel.limits), false);
  channelWindows.set(channel, windows);
  return windows;
}

function compiledOf(record: KeyRecord): CompiledLimits | undefined {
  if (record.limits === undefined) return undefined;
  let limits = compiled.get(record);
  if (limits === undefined) {
    limits = compile(record.limits);
    compiled.set(record, limits);
  }
  return limits;
}

function compile(limits: KeyLimits): CompiledLimits {
  const shadow = limits.mode === 'Shadow';
  const own = withShadow(toNamedWindows(limits), shadow);
  const models = (limits.models ?? []).map((entry) => ({
    matches: compileGlobs([entry.model]),
    windows: [...own, ...withShadow(toNamedWindows(entry, entry.model), shadow)],
  }));
  return { own, models };
}

function withShadow(windows: readonly NamedWindow[], shadow: boolean): LimitWindow[] {
  return windows.map((window) => ({ ...window, shadow }));
}
