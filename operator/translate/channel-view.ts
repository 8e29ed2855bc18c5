import { compileGlobs, isGlob } from '../../core/glob.ts';
import type { Channel } from '../../core/resources.ts';
import type { Provider } from '../../core/snapshot.ts';

/** What a key has to know of a Channel. */
export interface ChannelView {
  readonly id: string;
  readonly provider: Provider;
  /** namespaces whose keys may use it */
  readonly namespaces: 'All' | readonly string[];
  /** names or globs; absent = every model */
  readonly models?: readonly string[];
}

/** A namespace and its labels. */
export interface NamespaceView {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What of a Channel concerns the keys that may use it. */
export function toChannelView(channel: Channel, namespaces: readonly NamespaceView[]): ChannelView {
  const { namespace = '', name } = channel.metadata;
  const { provider, models } = channel.spec;
  return {
    id: `${namespace}/${name}`,
    provider,
    namespaces: resolveNamespaces(channel, namespaces),
    ...(models === undefined ? {} : { models: models.map((model) => model.name) }),
  };
}

/** Selectors become names, so that a proxy need not know labels. Sorted, so that the same state is the same record. */
export function resolveNamespaces(channel: Channel, namespaces: readonly NamespaceView[]): 'All' | readonly string[] {
  const { from, selector } = channel.spec.allowedNamespaces ?? { from: 'Same' };
  if (from === 'All') return 'All';
  if (from === 'Same') return [channel.metadata.namespace ?? ''];
  const wanted = Object.entries(selector?.matchLabels ?? {});
  // An empty selector would select everything; the schema refuses it, and so does this.
  const chosen = wanted.length === 0 ? [] : namespaces.filter(({ labels }) => wanted.every(([label, value]) => labels[label] === value));
  return chosen.map(({ name }) => name).toSorted();
}

/** Whether keys of this namespace may use it. */
export function admits(channel: ChannelView, namespace: string): boolean {
  return channel.namespaces === 'All' || channel.namespaces.includes(namespace);
}

/** Whether a Channel serves something that matches this name or glob; of two globs it is enough that one matches the other as text. */
export function serves(channel: ChannelView, model: string): boolean {
  if (channel.models === undefined) return true;
  const asked = compileGlobs([model]);
  return channel.models.some((name) => asked(name) || (isGlob(name) && compileGlobs([name])(model)));
}
