import type { CompiledKey } from './authorize.ts';
import { compileGlobs, isGlob } from './glob.ts';
import type { Dialect, Refusal } from './refusals.ts';
import type { ChannelCredential, ChannelModel, ChannelRecord, Provider } from './snapshot.ts';

/** A channel that can serve the request, and what its provider calls the model (undefined when the request names none). */
export interface Candidate {
  readonly channel: ChannelRecord;
  readonly upstreamModel: string | undefined;
}

const families: Readonly<Record<Dialect, readonly Provider[]>> = {
  OpenAI: ['OpenAI', 'AzureOpenAI', 'OpenAICompatible'],
  Anthropic: ['Anthropic'],
  Gemini: ['Gemini'],
};

/** The providers that understand a dialect; a request never goes to another one. */
export function familyOf(dialect: Dialect): readonly Provider[] {
  return families[dialect];
}

export interface Search {
  readonly key: CompiledKey;
  /** those that admit the key's namespace */
  readonly channels: readonly ChannelRecord[];
  readonly dialect: Dialect;
  /** absent when the request names no model (a list of models) */
  readonly model: string | undefined;
}

/** The channels that speak a dialect and that a key may use. One of weight 0 is never chosen, so for every purpose it is not there. */
export function usableChannels({ key, channels, dialect }: Omit<Search, 'model'>): readonly ChannelRecord[] {
  const family = familyOf(dialect);
  return channels.filter(
    (channel) =>
      family.includes(channel.provider) && channel.weight > 0 && key.allowsChannel(channel.id) && key.allowsProvider(channel.provider),
  );
}

/** The channels that may and can serve a request, in no order; refuses with `channel_not_found` or `model_not_found`. */
export function findChannels(search: Search): { channels: readonly Candidate[] } | { refusal: Refusal } {
  const { dialect, model } = search;
  const usable = usableChannels(search);
  if (usable.length === 0) {
    return { refusal: { code: 'channel_not_found', message: `No channel that this key may use speaks the ${dialect} dialect.` } };
  }
  if (model === undefined) return { channels: usable.map((channel) => ({ channel, upstreamModel: undefined })) };
  const serving = usable.flatMap((channel) => toCandidates(channel, model));
  if (serving.length === 0) {
    return {
      refusal: { code: 'model_not_found', message: `No channel that this key may use serves the model "${model}".`, param: 'model' },
    };
  }
  return { channels: serving };
}

/** Lowest priority first; inside one priority a random order in which weight decides. Weight 0 is left out. */
export function orderChannels<T extends { readonly channel: ChannelRecord }>(candidates: readonly T[], random: () => number): T[] {
  const rest = candidates.filter(({ channel }) => channel.weight > 0);
  const order: T[] = [];
  while (rest.length > 0) {
    const priority = Math.min(...rest.map(({ channel }) => channel.priority));
    const tier = rest.filter(({ channel }) => channel.priority === priority);
    const next = chooseByWeight(tier, ({ channel }) => channel.weight, random);
    if (next === undefined) break;
    order.push(next);
    rest.splice(rest.indexOf(next), 1);
  }
  return order;
}

/** One credential of the pool by weight; undefined when the pool is empty or holds only weights of 0. */
export function chooseCredential(credentials: readonly ChannelCredential[], random: () => number): ChannelCredential | undefined {
  return chooseByWeight(credentials, ({ weight }) => weight, random);
}

/** `random` gives [0, 1). */
function chooseByWeight<T>(items: readonly T[], weightOf: (item: T) => number, random: () => number): T | undefined {
  const eligible = items.filter((item) => weightOf(item) > 0);
  const total = eligible.reduce((sum, item) => sum + weightOf(item), 0);
  let left = random() * total;
  for (const item of eligible) {
    left -= weightOf(item);
    if (left < 0) return item;
  }
  // Rounding may leave a hair over; a source of randomness that gives 1 lands here too.
  return eligible.at(-1);
}

function toCandidates(channel: ChannelRecord, model: string): Candidate[] {
  const served = modelsOf(channel)(model);
  return served === undefined ? [] : [{ channel, upstreamModel: served.upstreamName ?? model }];
}

/** The entry of a channel's models by which it serves this one; undefined: it does not, or it serves every model and lists none. */
export function findModelEntry(channel: ChannelRecord, model: string): ChannelModel | undefined {
  return channel.models === undefined ? undefined : modelsOf(channel)(model);
}

type ModelTable = (model: string) => ChannelModel | undefined;

/** Records never change, so a table is compiled once for each and goes with it. */
const tables = new WeakMap<ChannelRecord, ModelTable>();

function modelsOf(channel: ChannelRecord): ModelTable {
  const known = tables.get(channel);
  if (known !== undefined) return known;
  const table = compileModels(channel);
  tables.set(channel, table);
  return table;
}

/** A name written out wins over a glob; among globs the first. */
function compileModels({ models }: ChannelRecord): ModelTable {
  if (models === undefined) return (name) => ({ name });
  const names = new Map(models.filter(({ name }) => !isGlob(name)).map((entry) => [entry.name, entry]));
  const globs = models.filter(({ name }) => isGlob(name)).map((entry) => ({ matches: compileGlobs([entry.name]), entry }));
  return (model) => names.get(model) ?? globs.find(({ matches }) => matches(model))?.entry;
}
