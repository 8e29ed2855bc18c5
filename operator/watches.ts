import { isDeepStrictEqual } from 'node:util';
import type { Channel, VirtualKey } from '../core/resources.ts';
import { snapshotSecretType } from '../core/snapshot.ts';
import type { Cluster, ClusterObject, ReflectedEvent, SecretObject } from './cluster/cluster.ts';
import { ClusterError } from './cluster/cluster.ts';
import { CredentialStore } from './credentials/credential-store.ts';
import { deliveryLabel, toDeliveryName } from './credentials/delivery-secret.ts';
import { hashedSecretLabel } from './credentials/hashed-secret.ts';
import { filingDelayMs, housekeepingItem } from './housekeeping-item.ts';
import { ReferenceIndex } from './reference-index.ts';
import { ReflectedStore } from './reflected-store.ts';
import { Reflectors } from './reflectors.ts';
import { RevokedHashes } from './credentials/revoked-hashes.ts';
import { revokedType } from './credentials/revoked-shards.ts';
import { toSecretNames } from './translate/channel.ts';
import { consentLabel } from './translate/source-entries.ts';
import type { ChannelView, NamespaceView } from './translate/channel-view.ts';
import type { Claims } from './translate/key-input.ts';
import { toChannelView } from './translate/channel-view.ts';
import { isEndedByEdit } from './translate/ended-by-edit.ts';
import { UserGroups } from './queue/user-groups.ts';

const rereadAttempts = 4;

/** How long a Channel's number of users may be behind. */
const usedByDelayMs = 5_000;

/** So many milliseconds later; edited: its owner has changed it, and may do so again at once; urgently: before all others, since something of it has ended. */
export type When = number | 'edited' | 'urgently';

export interface WatchesOptions {
  readonly cluster: Cluster;
  /** system namespace */
  readonly namespace: string;
  readonly snapshotNamespace: string;
  /** empty = all */
  readonly watchNamespaces: readonly string[];
  /** `VirtualKey/namespace/name` or `Channel/namespace/name` has to be looked at */
  readonly onChange: (item: string, when?: When) => void;
  /** something is new about a VirtualKey; before anything else is done about it */
  readonly onVirtualKey: (event: ReflectedEvent<VirtualKey>) => void;
  readonly onSnapshotSecret: (event: ReflectedEvent<SecretObject>) => void;
}

/**
 * Everything the operator sees of the cluster, kept warm also while it does not lead. Of tenants' Secrets only metadata is kept, and only of those that carry
 * one of our labels.
 */
export class Watches {
  readonly virtualKeys = new ReflectedStore<VirtualKey>();
  readonly channels = new ReflectedStore<Channel>();
  readonly sources = new ReflectedStore<SecretObject>();
  readonly deliveries = new ReflectedStore<SecretObject>();
  readonly credentials: CredentialStore;
  readonly revoked: RevokedHashes;
  /** `VirtualKey/namespace/name`, `Channel/namespace/name` or `Namespace//name` whose end is certain: a watch has told of it, or the API server was asked */
  readonly gone = new Set<string>();
  readonly #namespaces = new ReflectedStore<ClusterObject>();
  /** that a list lacked: they count until their end is certain */
  readonly #missingNamespaces = new Set<string>();
  readonly #options: WatchesOptions;
  readonly #reflectors: Reflectors;
  readonly #views = new Map<string, ChannelView>();
  /** `namespace/name` of a Secret → who reads it, and whose delivery Secret has that name */
  readonly #readers = new ReferenceIndex();
  readonly #delivered = new ReferenceIndex();
  readonly #users = new UserGroups();

  constructor(options: WatchesOptions) {
    this.#options = options;
    const { namespace, cluster, onChange } = options;
    this.credentials = new CredentialStore({
      cluster,
      namespace,
      onBarred: () => onChange(housekeepingItem, filingDelayMs),
      onRivals: (keyIds) => keyIds.forEach((keyId) => onChange(`VirtualKey/${keyId}`)),
    });
    this.revoked = new RevokedHashes({ cluster, namespace, isExpected: () => this.credentials.hasFiled });
    this.#reflectors = new Reflectors(cluster, options.watchNamespaces);
    this.#watch(options);
  }

  get knowsNamespaces(): boolean {
    return this.#options.watchNamespaces.length === 0;
  }

  /** Who has recorded which hash, and which are revoked. */
  get claims(): Claims {
    const { credentials, revoked } = this;
    return {
      firstOwner: (hash, besides) => credentials.firstOwner(hash, besides),
      isRevoked: (hash) => credentials.isRevoked(hash) || revoked.has(hash),
      isFiled: (hash) => revoked.isFiled(hash),
      isUnknown: (hash) => revoked.isUnknown(hash),
      firstGeneration: revoked.firstGeneration,
    };
  }

  findKey(id: string): VirtualKey | undefined {
    const [namespace = '', name = ''] = id.split('/');
    return this.virtualKeys.get(namespace, name);
  }

  /** What has not been listed yet. */
  waiting(): readonly string[] {
    return this.#reflectors.waiting();
  }

  whenSynced(): Promise<void> {
    return this.#reflectors.whenSynced();
  }

  /** Whether a watch has this object (`Kind/namespace/name`) now. */
  holds(item: string): boolean {
    const [kind, namespace, name = ''] = item.split('/');
    if (kind === 'Namespace') return this.knowsNamespace(name) && !this.#missingNamespaces.has(name);
    return (kind === 'Channel' ? this.channels : this.virtualKeys).get(namespace, name) !== undefined;
  }

  /** An object that a list lacked and that is there all the same. */
  found(object: VirtualKey | Channel | ClusterObject): void {
    this.#reflectors.keep(object);
    if (object.kind === 'Namespace') this.#onNamespace({ type: 'Applied', object });
    else if (isChannel(object)) this.#onChannel({ type: 'Applied', object });
    else if (isVirtualKey(object)) this.#onVirtualKey({ type: 'Applied', object });
  }

  /** Asks for the object itself, past the watch, and goes by the answer from then on. */
  async reread(kind: 'VirtualKey' | 'Channel', id: string): Promise<void> {
    const [namespace = '', name = ''] = id.split('/');
    const store: Pick<ReflectedStore<VirtualKey | Channel>, 'get'> = kind === 'Channel' ? this.channels : this.virtualKeys;
    for (let attempt = 0; attempt < rereadAttempts; attempt += 1) {
      const known = store.get(namespace, name);
      const found = await this.#options.cluster.get<VirtualKey | Channel>({ kind, namespace, name });
      // What the watch has told meanwhile may be newer or older than this answer.
      if (store.get(namespace, name) !== known) continue;
      if (found !== undefined) return this.found(found);
      if (known === undefined) return void this.gone.add(`${kind}/${id}`);
      if (isChannel(known)) return this.#onChannel({ type: 'Deleted', object: known, seen: true });
      return this.#onVirtualKey({ type: 'Deleted', object: known, seen: true });
    }
    throw new ClusterError('Unavailable', `${kind} ${id} changes again and again`);
  }

  channelViews(): readonly ChannelView[] {
    return [...this.#views.values()];
  }

  /** How many keys may route to a Channel. */
  countUsers(id: string): number {
    const view = this.#views.get(id);
    return view === undefined ? 0 : this.#users.count(view);
  }

  knowsNamespace(name: string): boolean {
    return this.#namespaces.get(undefined, name) !== undefined;
  }

  missingNamespaces(): Iterable<string> {
    return this.#missingNamespaces;
  }

  /** Its end is certain, though no watch has told of it. */
  endNamespace(name: string): void {
    this.#missingNamespaces.delete(name);
    this.#namespaces.forget(undefined, name);
    this.#seeNamespaces(true);
  }

  namespaceViews(): readonly NamespaceView[] {
    return [...this.#namespaces.values()].map(({ metadata }) => ({ name: metadata.name, labels: metadata.labels ?? {} }));
  }

  async stop(): Promise<void> {
    await this.#reflectors.stop();
  }

  #watch({ namespace, snapshotNamespace, onChange, onSnapshotSecret }: WatchesOptions): void {
    const reflectors = this.#reflectors;
    const metadataOnly = { kind: 'Secret', metadataOnly: true } as const;
    reflectors.addEverywhere<VirtualKey>('VirtualKeys', { kind: 'VirtualKey', onEvent: (event) => this.#onVirtualKey(event) });
    reflectors.addEverywhere<Channel>('Channels', { kind: 'Channel', onEvent: (event) => this.#onChannel(event) });
    reflectors.addEverywhere<SecretObject>('credential Secrets', {
      ...metadataOnly,
      labelSelector: `${consentLabel}=true`,
      onEvent: (event) => this.#onSource(event),
    });
    reflectors.addEverywhere<SecretObject>('delivery Secrets', {
      ...metadataOnly,
      labelSelector: deliveryLabel,
      onEvent: (event) => this.#onDelivery(event),
    });
    if (this.knowsNamespaces)
      reflectors.add('Namespaces', { kind: 'Namespace', metadataOnly: true, onEvent: (event) => this.#onNamespace(event) });
    reflectors.add<SecretObject>('hashed Secrets', {
      kind: 'Secret',
      namespace,
      labelSelector: hashedSecretLabel,
      onEvent: (event) => this.#onRecord(event),
    });
    reflectors.add<SecretObject>('revoked hashes', {
      kind: 'Secret',
      namespace,
      fieldSelector: `type=${revokedType}`,
      onEvent: (event) => (this.revoked.take(event) ? onChange(housekeepingItem) : undefined),
    });
    reflectors.add<SecretObject>('snapshot', {
      ...metadataOnly,
      namespace: snapshotNamespace,
      fieldSelector: `type=${snapshotSecretType}`,
      onEvent: onSnapshotSecret,
    });
  }

  #onVirtualKey(event: ReflectedEvent<VirtualKey>): void {
    if (event.type === 'Synced') return;
    const { namespace = '', name } = event.object.metadata;
    const id = `${namespace}/${name}`;
    const item = `VirtualKey/${id}`;
    const before = this.virtualKeys.get(namespace, name);
    if (!this.virtualKeys.take(event)) return;
    this.#options.onVirtualKey(event);
    if (event.type === 'Applied') {
      this.gone.delete(item);
      const { credential } = event.object.spec;
      this.#readers.set(item, credential?.secretRef === undefined ? [] : [`${namespace}/${credential.secretRef.name}`]);
      this.#delivered.set(item, [`${namespace}/${toDeliveryName(event.object)}`]);
    } else {
      if (event.seen) this.gone.add(item);
      this.#readers.delete(item);
      this.#delivered.delete(item);
    }
    this.#options.onChange(item, toWhen(event, before));
    if (!this.#users.set(id, event.type === 'Applied' ? event.object : undefined)) return;
    for (const channelId of this.#views.keys()) this.#options.onChange(`Channel/${channelId}`, usedByDelayMs);
  }

  #onChannel(event: ReflectedEvent<Channel>): void {
    if (event.type === 'Synced' || !this.channels.take(event)) return;
    const { namespace = '', name } = event.object.metadata;
    const id = `${namespace}/${name}`;
    const item = `Channel/${id}`;
    this.#readers.set(item, event.type === 'Applied' ? toSecretNames(event.object).map((secret) => `${namespace}/${secret}`) : []);
    const isGone = event.type === 'Deleted' || event.object.metadata.deletionTimestamp !== undefined;
    if (event.type === 'Applied') this.gone.delete(item);
    else if (event.seen) this.gone.add(item);
    this.#see(id, isGone ? undefined : toChannelView(event.object, this.namespaceViews()));
    this.#options.onChange(item);
  }

  /** Keys that name Channels or models have to be looked at when what they find changes. */
  #see(id: string, view: ChannelView | undefined): boolean {
    if (isDeepStrictEqual(this.#views.get(id), view)) return false;
    if (view === undefined) this.#views.delete(id);
    else this.#views.set(id, view);
    for (const { metadata, spec } of this.virtualKeys.values()) {
      if (spec.access?.channels !== undefined || spec.access?.models !== undefined)
        this.#options.onChange(`VirtualKey/${metadata.namespace ?? ''}/${metadata.name}`);
    }
    return true;
  }

  #onNamespace(event: ReflectedEvent<ClusterObject>): void {
    if (event.type !== 'Synced') {
      const { name } = event.object.metadata;
      const item = `Namespace//${name}`;
      if (event.type === 'Deleted' && !event.seen) {
        if (!this.knowsNamespace(name)) return;
        this.#missingNamespaces.add(name);
        return this.#options.onChange(item);
      }
      this.#missingNamespaces.delete(name);
      if (event.type === 'Applied') this.gone.delete(item);
      else this.gone.add(item);
    }
    if (this.#namespaces.take(event)) this.#seeNamespaces(false);
  }

  /** `all`: also Channels that admit the same as before have to be looked at */
  #seeNamespaces(all: boolean): void {
    const namespaces = this.namespaceViews();
    for (const channel of this.channels.values()) {
      if (channel.spec.allowedNamespaces?.from !== 'Selector') continue;
      const id = `${channel.metadata.namespace ?? ''}/${channel.metadata.name}`;
      if (this.#see(id, toChannelView(channel, namespaces)) || all) this.#options.onChange(`Channel/${id}`);
    }
  }

  #onSource(event: ReflectedEvent<SecretObject>): void {
    if (!this.sources.take(event) || event.type === 'Synced') return;
    this.#tell(this.#readers, event.object);
  }

  #onDelivery(event: ReflectedEvent<SecretObject>): void {
    if (!this.deliveries.take(event) || event.type === 'Synced') return;
    this.#tell(this.#delivered, event.object);
  }

  #onRecord(event: ReflectedEvent<SecretObject>): void {
    for (const keyId of this.credentials.take(event)) this.#options.onChange(`VirtualKey/${keyId}`);
  }

  #tell(index: ReferenceIndex, secret: SecretObject): void {
    const { namespace = '', name } = secret.metadata;
    for (const item of index.usersOf(`${namespace}/${name}`)) this.#options.onChange(item);
  }
}

function toWhen(event: Exclude<ReflectedEvent<VirtualKey>, { type: 'Synced' }>, before: VirtualKey | undefined): When {
  if (event.type === 'Deleted') return event.seen ? 'urgently' : 0;
  const { object } = event;
  if (isEndedByEdit(before, object)) return 'urgently';
  const isStatus = before?.metadata.generation === object.metadata.generation && !isDeepStrictEqual(before?.status, object.status);
  return isStatus ? 0 : 'edited';
}

function isVirtualKey(object: ClusterObject): object is VirtualKey {
  return object.kind === 'VirtualKey';
}

function isChannel(object: ClusterObject): object is Channel {
  return object.kind === 'Channel';
}
