import { compileGlobs } from '../../core/glob.ts';
import type { ChannelRecord, KeyLimits, KeyRecord, WindowLimits } from '../../core/snapshot.ts';
import type { LimitWindow } from '../counters/counters.ts';

const kinds = [
  { name: 'rpm', unit: 'requests', span: 'minute' },
  { name: 'tpm', unit: 'tokens', span: 'minute' },
  { name: 'rpd', unit: 'requests', span: 'day' },
  { name: 'tpd', unit: 'tokens', span: 'day' },
] as const;

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
export function allLimitWindows(record: KeyRecord): readonly LimitWindow[] {
  const limits = compiledOf(record);
  // an entry's windows hold the key's own as well; two entries of one glob have the same names
  const windows = [...(limits?.own ?? []), ...(limits?.models ?? []).flatMap((entry) => entry.windows)];
  return [...new Map(windows.toReversed().map((window) => [window.name, window])).values()].toReversed();
}

const channelWindows = new WeakMap<ChannelRecord, readonly LimitWindow[]>();

/** The windows of a Channel, which the requests of all keys share. */
export function toChannelWindows(channel: ChannelRecord): readonly LimitWindow[] {
  if (channel.limits === undefined) return [];
  const windows = channelWindows.get(channel) ?? toWindows(channel.limits, '', false);
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
  const own = toWindows(limits, '', shadow);
  const models = (limits.models ?? []).map((entry) => ({
    matches: compileGlobs([entry.model]),
    windows: [...own, ...toWindows(entry, `:${entry.model}`, shadow)],
  }));
  return { own, models };
}

function toWindows(limits: WindowLimits, suffix: string, shadow: boolean): LimitWindow[] {
  return kinds.flatMap(({ name, unit, span }) => {
    const limit = limits[name];
    return limit === undefined ? [] : [{ name: `${name}${suffix}`, unit, span, limit, shadow }];
  });
}
