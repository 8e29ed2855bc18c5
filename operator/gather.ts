import type { Channel, VirtualKey } from '../core/resources.ts';
import type { Secret } from '../core/secret.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Cluster, SecretObject } from './cluster/cluster.ts';
import type { DeliveryFacts } from './credentials/delivery-secret.ts';
import { deliveryLabel, toDeliveryFacts, toDeliveryName, toOwner } from './credentials/delivery-secret.ts';
import { toSecretNames } from './translate/channel.ts';
import type { SourceEntry } from './translate/key-input.ts';
import { isReadable, toSourceEntries, toValues } from './translate/source-entries.ts';
import { describeError } from './describe-error.ts';
import type { Watches } from './watches.ts';

/** How long it is believed that a name without our label is free, or taken: nobody tells us when that changes. */
const unlabelledMs = 30_000;

interface KnownDelivery {
  /** of the VirtualKey for which it was looked at: whose the Secret is differs from key to key */
  readonly uid: string;
  readonly facts: DeliveryFacts | undefined;
  readonly atMs: number;
}

/**
 * Reads what the watches do not hold: values in Secrets. Of a key only hashes stay in memory, by the version of the Secret they were read from,
 * so that at rest nothing is read again.
 */
export class Gatherer {
  readonly #cluster: Cluster;
  readonly #watches: Watches;
  readonly #clock: Clock;
  /** by key id */
  readonly #deliveries = new Map<string, KnownDelivery>();
  readonly #sources = new Map<string, { readonly resourceVersion: string; readonly entries: ReadonlyMap<string, SourceEntry> }>();

  constructor(options: { cluster: Cluster; watches: Watches; clock: Clock }) {
    this.#cluster = options.cluster;
    this.#watches = options.watches;
    this.#clock = options.clock;
  }

  /** What stands under the name of the delivery Secret; undefined: nothing. */
  async delivery(virtualKey: VirtualKey): Promise<DeliveryFacts | undefined> {
    const { namespace = '' } = virtualKey.metadata;
    const name = toDeliveryName(virtualKey);
    const labelled = this.#watches.deliveries.get(namespace, name);
    const known = this.#deliveries.get(toKeyId(virtualKey));
    if (known !== undefined && known.uid === virtualKey.metadata.uid && this.#isCurrent(known, labelled)) return known.facts;
    const metadata = labelled ?? (await this.#findMetadata(namespace, name));
    if (metadata === undefined) return this.#keep(virtualKey, undefined);
    // Somebody else's Secret is not read.
    if (toOwner(metadata, virtualKey) !== 'this') return this.#keep(virtualKey, { ...metadata, data: {} });
    return this.#keep(virtualKey, await this.#cluster.get<SecretObject>({ kind: 'Secret', namespace, name }));
  }

  /**
   * Reads all delivery Secrets in pages, for whoever begins to lead: one by one they would be a request for each key. Nothing is taken over that the watch does not show in the
   * same version, so that what is left out here or fails is read when it is needed.
   */
  async prefetch(namespaces: readonly string[]): Promise<void> {
    const selection = { kind: 'Secret', labelSelector: deliveryLabel } as const;
    const selections = namespaces.length === 0 ? [selection] : namespaces.map((namespace) => ({ ...selection, namespace }));
    for (const each of selections) await this.#cluster.listEach<SecretObject>(each, (secret) => this.#takePrefetched(secret));
  }

  #takePrefetched(secret: SecretObject): void {
    const { namespace = '', name, resourceVersion, ownerReferences = [] } = secret.metadata;
    const owner = ownerReferences.find(({ controller }) => controller === true);
    const virtualKey = owner === undefined ? undefined : this.#watches.virtualKeys.get(namespace, owner.name);
    const labelled = this.#watches.deliveries.get(namespace, name);
    if (virtualKey === undefined || toDeliveryName(virtualKey) !== name || labelled?.metadata.resourceVersion !== resourceVersion) return;
    if (labelled !== undefined && toOwner(labelled, virtualKey) === 'this')
      this.#keep(virtualKey, { ...secret, metadata: labelled.metadata });
  }

  /** What a write of ours has made of it. */
  wroteDelivery(virtualKey: VirtualKey, secret: SecretObject): void {
    this.#keep(virtualKey, secret);
  }

  /** It is not what we took it for. */
  forgetDelivery(virtualKey: VirtualKey): void {
    this.forget(toKeyId(virtualKey));
  }

  /** The key is gone. */
  forget(keyId: string): void {
    this.#deliveries.delete(keyId);
  }

  /** The entries of the labelled Secret that a key reads; undefined: there is none. */
  async source(virtualKey: VirtualKey): Promise<ReadonlyMap<string, SourceEntry> | undefined> {
    const reference = virtualKey.spec.credential?.secretRef;
    const { namespace = '' } = virtualKey.metadata;
    if (reference === undefined) return undefined;
    const labelled = this.#watches.sources.get(namespace, reference.name);
    if (labelled === undefined) return undefined;
    const key = `${namespace}/${reference.name}`;
    const known = this.#sources.get(key);
    if (known?.resourceVersion === labelled.metadata.resourceVersion) return known?.entries;
    const secret = await this.#readLabelled(namespace, reference.name);
    if (secret === undefined) return undefined;
    const entries = toSourceEntries(secret);
    this.#sources.set(key, { resourceVersion: secret.metadata.resourceVersion ?? '', entries });
    return entries;
  }

  /** The labelled Secrets that a Channel names. Their values are kept by nobody but the snapshot. */
  async channelSecrets(channel: Channel): Promise<ReadonlyMap<string, ReadonlyMap<string, Secret>>> {
    const { namespace = '' } = channel.metadata;
    const found = new Map<string, ReadonlyMap<string, Secret>>();
    for (const name of toSecretNames(channel)) {
      if (this.#watches.sources.get(namespace, name) === undefined) continue;
      const secret = await this.#readLabelled(namespace, name);
      if (secret !== undefined) found.set(name, toValues(secret));
    }
    return found;
  }

  #isCurrent(known: KnownDelivery, labelled: SecretObject | undefined): boolean {
    if (labelled !== undefined) return known.facts?.resourceVersion === labelled.metadata.resourceVersion;
    // Of a labelled one that is gone a watch has told, and our own is always labelled.
    const wasWatched = known.facts !== undefined && (known.facts.owner === 'this' || deliveryLabel in known.facts.labels);
    return !wasWatched && this.#clock.now() - known.atMs < unlabelledMs;
  }

  #keep(virtualKey: VirtualKey, secret: SecretObject | undefined): DeliveryFacts | undefined {
    const { namespace = '' } = virtualKey.metadata;
    const name = toDeliveryName(virtualKey);
    const facts = secret === undefined ? undefined : toDeliveryFacts(secret, virtualKey);
    this.#deliveries.set(toKeyId(virtualKey), { uid: virtualKey.metadata.uid ?? '', facts, atMs: this.#clock.now() });
    // Without the label the watch would never tell that it has changed or gone.
    if (secret?.metadata.labels?.[deliveryLabel] === undefined) this.#watches.deliveries.forget(namespace, name);
    else this.#watches.deliveries.wrote({ apiVersion: secret.apiVersion, kind: secret.kind, metadata: secret.metadata });
    return facts;
  }

  async #findMetadata(namespace: string, name: string): Promise<SecretObject | undefined> {
    const found = await this.#cluster.list<SecretObject>({
      kind: 'Secret',
      namespace,
      fieldSelector: `metadata.name=${name}`,
      metadataOnly: true,
    });
    return found[0];
  }

  /** The label is looked at once more: it may have been taken away since the watch told of it. */
  async #readLabelled(namespace: string, name: string): Promise<SecretObject | undefined> {
    const secret = await this.#cluster.get<SecretObject>({ kind: 'Secret', namespace, name });
    return secret !== undefined && isReadable(secret) ? secret : undefined;
  }
}

/** What cannot be read together is read by itself later. */
export async function prefetchDeliveries(gatherer: Gatherer, namespaces: readonly string[], log: Log): Promise<void> {
  try {
    await gatherer.prefetch(namespaces);
  } catch (error) {
    log.warn({ error: describeError(error) }, 'the delivery Secrets could not be read together; each is read by itself');
  }
}

function toKeyId({ metadata }: VirtualKey): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
