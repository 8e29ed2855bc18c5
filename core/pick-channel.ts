import { namespaceOf } from './namespace-of.ts';
import type { CompiledKey } from './authorize.ts';
import { findModelEntry, usableChannels } from './route.ts';
import type { Dialect } from './refusals.ts';
import type { ChannelRecord, Provider } from './snapshot.ts';

export interface Pick {
  /** the name that is used from here on: checked against the key, limited, priced, and mapped by the Channel */
  readonly model: string;
  /** those of the channels that were asked for */
  readonly channels: readonly ChannelRecord[];
}

export interface PickQuestion {
  readonly key: CompiledKey;
  /** those that admit the key's namespace */
  readonly channels: readonly ChannelRecord[];
  readonly dialect: Dialect;
  /** as the client wrote it */
  readonly model: string;
}

/** As clients write them; a Channel of such a name comes first. */
const providerNames: Readonly<Record<string, Provider>> = {
  openai: 'OpenAI',
  azure: 'AzureOpenAI',
  azureopenai: 'AzureOpenAI',
  anthropic: 'Anthropic',
  gemini: 'Gemini',
  google: 'Gemini',
};

/**
 * Reads `channel/model` and `provider/model`. In this order: a name that a usable channel lists itself, by name or by a glob with a slash, is a name (`meta-llama/Llama-3`); else what
 * stands before the first slash is a Channel of the key's own namespace, else Channels of that name elsewhere, else a provider; else all of it is the name of a model. Only channels that
 * the key may use anyway are looked at, and the model behind the slash needs the same permission as alone: picking never widens what a key may do.
 */
export function pickChannels({ key, channels, dialect, model }: PickQuestion): Pick {
  const slash = model.indexOf('/');
  if (slash === -1) return { model, channels };
  const usable = usableChannels({ key, channels, dialect });
  if (usable.some((channel) => listsWithSlash(channel, model))) return { model, channels };
  const picked = findNamed(usable, model.slice(0, slash), namespaceOf(key.record.id));
  return picked.length === 0 ? { model, channels } : { model: model.slice(slash + 1), channels: picked };
}

function findNamed(usable: readonly ChannelRecord[], name: string, namespace: string): readonly ChannelRecord[] {
  const own = usable.filter(({ id }) => id === `${namespace}/${name}`);
  if (own.length > 0) return own;
  const elsewhere = usable.filter(({ id }) => id.slice(id.indexOf('/') + 1) === name);
  if (elsewhere.length > 0) return elsewhere;
  const lower = name.toLowerCase();
  const provider = Object.hasOwn(providerNames, lower) ? providerNames[lower] : undefined;
  return usable.filter((channel) => channel.provider === provider);
}

/** A glob such as `*` matches every name, and says nothing of slashes. */
function listsWithSlash(channel: ChannelRecord, model: string): boolean {
  const entry = findModelEntry(channel, model);
  return entry?.name.includes('/') === true;
}
