import type { VirtualKey } from '../../core/resources.ts';
import { toGeneratedEntries } from '../credentials/delivery-secret.ts';
import type { ChannelView } from './channel-view.ts';
import { admits, serves } from './channel-view.ts';
import type { Problem } from './problem.ts';
import { firstProblem } from './problem.ts';

export interface AcceptanceSubject {
  readonly virtualKey: VirtualKey;
  readonly channels: readonly ChannelView[];
}

/**
 * Why the spec of a key is not taken over, in this order. (A KeyPolicy will be one more check of this list.)
 */
export function checkAcceptance(subject: AcceptanceSubject): Problem | undefined {
  return firstProblem([checkTemplate, checkChannels], subject);
}

/**
 * Domains of label and annotation names by which other controllers act, with everything below them (meta.helm.sh makes Helm adopt an object,
 * kustomize.toolkit.fluxcd.io makes Flux prune it): with them a tenant would borrow the operator's rights.
 */
const refusedDomains = ['kubernetes.io', 'k8s.io', 'argoproj.io', 'helm.sh', 'fluxcd.io', 'keywright.dev'];

/** What the delivery Secret may be made to look like; not as if it belonged to another controller. */
export function checkTemplate({ virtualKey }: Pick<AcceptanceSubject, 'virtualKey'>): Problem | undefined {
  const { delivery } = virtualKey.spec;
  if (delivery === undefined) return undefined;
  const { labels = {}, annotations = {}, data = {} } = delivery.template ?? {};
  const steering = [...Object.keys(labels), ...Object.keys(annotations)].filter(steers);
  if (steering.length > 0)
    return violation(`delivery.template may not set ${quoted(steering)}: names of that domain steer other controllers`);
  const generated = toGeneratedEntries(delivery, '');
  const doubled = Object.keys(data).filter((name) => Object.hasOwn(generated, name));
  if (doubled.length > 0) return violation(`delivery.template.data may not name ${quoted(doubled)}: the operator writes that entry`);
  const { secretKey = 'apiKey' } = delivery;
  if (!('key' in (generated[secretKey] ?? {})))
    return violation(`delivery.secretKey may not be "${secretKey}": delivery.environment writes something else there`);
  return undefined;
}

/** Missing and not admitted are told in the same words, so that nothing is disclosed of other namespaces. */
function checkChannels({ virtualKey, channels }: AcceptanceSubject): Problem | undefined {
  const wanted = toChannelIds(virtualKey) ?? [];
  const missing = wanted.filter(
    (id) => !channels.some((channel) => channel.id === id && admits(channel, virtualKey.metadata.namespace ?? '')),
  );
  if (missing.length === 0) return undefined;
  return {
    reason: 'ChannelNotFound',
    message: `access.channels: no Channel ${quoted(missing)} that admits this namespace`,
    stalled: false,
  };
}

/** `access.channels` as ids, in the order of the spec. */
export function toChannelIds(virtualKey: VirtualKey): readonly string[] | undefined {
  const { namespace = '' } = virtualKey.metadata;
  return virtualKey.spec.access?.channels?.map((name) => (name.includes('/') ? name : `${namespace}/${name}`));
}

/** The models of `access.models` that no Channel which the key may use serves. It is accepted all the same: a Channel may come later, and requests say so. */
export function findUnservedModels({ virtualKey, channels }: AcceptanceSubject): readonly string[] {
  const { models } = virtualKey.spec.access ?? {};
  if (models === undefined) return [];
  const usable = channels.filter((channel) => mayUse(virtualKey, channel));
  return models.filter((model) => !usable.some((channel) => serves(channel, model)));
}

/** How many of these keys may route to a Channel. */
export function countUsers(channel: ChannelView, virtualKeys: Iterable<VirtualKey>): number {
  let users = 0;
  for (const virtualKey of virtualKeys) {
    const isOver = virtualKey.spec.revoked === true || virtualKey.metadata.deletionTimestamp !== undefined;
    if (!isOver && mayUse(virtualKey, channel)) users += 1;
  }
  return users;
}

function mayUse(virtualKey: VirtualKey, channel: ChannelView): boolean {
  if (!admits(channel, virtualKey.metadata.namespace ?? '')) return false;
  return (
    toChannelIds(virtualKey)?.includes(channel.id) !== false && virtualKey.spec.access?.providers?.includes(channel.provider) !== false
  );
}

function steers(name: string): boolean {
  const slash = name.indexOf('/');
  const prefix = name.slice(0, slash).toLowerCase();
  return slash >= 0 && refusedDomains.some((domain) => prefix === domain || prefix.endsWith(`.${domain}`));
}

function violation(message: string): Problem {
  return { reason: 'PolicyViolation', message, stalled: true };
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}
