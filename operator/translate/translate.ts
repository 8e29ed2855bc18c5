import type { Channel, ChannelStatus, VirtualKey, VirtualKeyStatus } from '../../core/resources.ts';
import type { ChannelRecord, KeyRecord } from '../../core/snapshot.ts';
import type { SecretObject } from '../cluster/cluster.ts';
import type { DeliveryPlan } from '../credentials/delivery-secret.ts';
import { toDeliveryFacts, toDeliveryName } from '../credentials/delivery-secret.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import { countUsers } from './acceptance.ts';
import { translateChannel } from './channel.ts';
import type { NamespaceView } from './channel-view.ts';
import { toChannelView } from './channel-view.ts';
import { earliest } from './instant.ts';
import { translateKey } from './key.ts';
import type { Attempt, Claims, TranslateSettings } from './key-input.ts';
import { toTombstone } from './lifecycle.ts';
import type { Notice } from './problem.ts';
import { isReadable, toSourceEntries, toValues } from './source-entries.ts';

/** All that the operator's mind looks at. */
export interface Resources {
  readonly virtualKeys: readonly VirtualKey[];
  readonly channels: readonly Channel[];
  /** of the tenants: labelled ones and delivery Secrets */
  readonly secrets: readonly SecretObject[];
  readonly namespaces: readonly NamespaceView[];
  /** what the hashed Secrets say */
  readonly records: readonly CredentialRecord[];
  /** revoked hashes that are filed in the shards, and the generation above which new keys begin */
  readonly filed?: readonly string[];
  readonly firstGeneration?: number;
  readonly published: { readonly keys: readonly KeyRecord[]; readonly channels: readonly ChannelRecord[]; readonly atMs: number };
  /** by key id */
  readonly attempts: Readonly<Record<string, Attempt>>;
}

/** All that is to be done. */
export interface Translation {
  readonly snapshot: { readonly keys: readonly KeyRecord[]; readonly channels: readonly ChannelRecord[] };
  /** only those that change */
  readonly records: readonly CredentialRecord[];
  readonly deliveries: readonly (Omit<DeliveryPlan, 'notices'> & { readonly key: string })[];
  readonly virtualKeys: Readonly<Record<string, VirtualKeyStatus>>;
  readonly channels: Readonly<Record<string, ChannelStatus>>;
  readonly events: readonly (Notice & { readonly regarding: string })[];
  /** ids of keys for which a credential must be made */
  readonly issue: readonly string[];
  readonly wakeAt: number | undefined;
}

/**
 * Everything at once: from resources to snapshot, writes, statuses and Events. The operator does the same object by object; this is for golden files and for whoever
 * wants to see what manifests amount to. Pure. `nowMs`: milliseconds since 1970.
 */
export function translate(resources: Resources, settings: TranslateSettings, nowMs: number): Translation {
  const channels = translateChannels(resources, settings, nowMs);
  const keys = translateKeys(resources, settings, nowMs);
  const records = new Map(resources.records.map((record) => [record.keyId, record]));
  const gone = resources.records.filter(({ keyId, deletedAt }) => deletedAt === undefined && !keys.outputs.has(keyId));
  return {
    snapshot: { keys: [...keys.outputs.values()].flatMap(({ record }) => record ?? []), channels: channels.records },
    records: [
      ...[...keys.outputs.values()].flatMap(({ hashedSecret }) => hashedSecret?.record ?? []),
      ...gone.map((record) => toTombstone(record, nowMs, toClaims(records, resources))),
    ],
    deliveries: [...keys.outputs].flatMap(([key, { delivery }]) => {
      if (delivery === undefined) return [];
      const { notices: _, ...plan } = delivery;
      return [{ key, ...plan }];
    }),
    virtualKeys: Object.fromEntries([...keys.outputs].map(([id, { status }]) => [id, status.value])),
    channels: channels.statuses,
    events: [
      ...channels.events,
      ...[...keys.outputs].flatMap(([regarding, { hashedSecret, delivery, status }]) =>
        [...(hashedSecret?.notices ?? []), ...(delivery?.notices ?? []), ...status.notices].map((notice) => ({ regarding, ...notice })),
      ),
    ],
    issue: [...keys.outputs].filter(([, { issue }]) => issue).map(([id]) => id),
    wakeAt: earliest(
      nowMs,
      [...keys.outputs.values()].map(({ wakeAt }) => wakeAt),
    ),
  };
}

function translateChannels(resources: Resources, settings: TranslateSettings, nowMs: number) {
  const records: ChannelRecord[] = [];
  const statuses: Record<string, ChannelStatus> = {};
  const events: (Notice & { regarding: string })[] = [];
  for (const channel of resources.channels.filter(isThere)) {
    const id = toId(channel);
    const secrets = resources.secrets.filter((secret) => secret.metadata.namespace === channel.metadata.namespace && isReadable(secret));
    const output = translateChannel(
      {
        channel,
        secrets: new Map(secrets.map((secret) => [secret.metadata.name, toValues(secret)])),
        namespaces: resources.namespaces,
        published: resources.published.channels.find((record) => record.id === id),
        usedBy: countUsers(toChannelView(channel, resources.namespaces), resources.virtualKeys),
        settings,
      },
      nowMs,
    );
    if (output.record !== undefined) records.push(output.record);
    statuses[id] = output.status.value;
    events.push(...output.status.notices.map((notice) => ({ regarding: id, ...notice })));
  }
  return { records, statuses, events };
}

/** The older key goes first, so that a hash that two keys bring at once is the older one's. */
function translateKeys(resources: Resources, settings: TranslateSettings, nowMs: number) {
  const channels = resources.channels.filter(isThere).map((channel) => toChannelView(channel, resources.namespaces));
  const records = new Map(resources.records.map((record) => [record.keyId, record]));
  const outputs = new Map<string, ReturnType<typeof translateKey>>();
  const order = (key: VirtualKey) => `${key.metadata.creationTimestamp ?? ''} ${key.metadata.uid ?? ''}`;
  for (const virtualKey of resources.virtualKeys.filter(isThere).toSorted((left, right) => (order(left) < order(right) ? -1 : 1))) {
    const id = toId(virtualKey);
    const find = (name: string | undefined) =>
      resources.secrets.find(({ metadata }) => metadata.namespace === virtualKey.metadata.namespace && metadata.name === name);
    const source = find(virtualKey.spec.credential?.secretRef?.name);
    const { credential } = virtualKey.spec;
    const delivery = credential === undefined || credential.generate !== undefined ? find(toDeliveryName(virtualKey)) : undefined;
    const published = resources.published.keys.find((record) => record.id === id);
    const output = translateKey(
      {
        virtualKey,
        record: records.get(id),
        delivery: delivery === undefined ? undefined : toDeliveryFacts(delivery, virtualKey),
        deliveryRefused: false,
        source: source !== undefined && isReadable(source) ? toSourceEntries(source) : undefined,
        channels,
        claims: toClaims(records, resources),
        published: published === undefined ? undefined : { record: published, atMs: resources.published.atMs },
        attempt: resources.attempts[id],
        settings,
      },
      nowMs,
    );
    if (output.hashedSecret !== undefined) records.set(id, output.hashedSecret.record);
    outputs.set(id, output);
  }
  return { outputs };
}

function toClaims(records: ReadonlyMap<string, CredentialRecord>, { filed = [], firstGeneration = 0 }: Resources): Claims {
  return {
    firstOwner(hash, besides) {
      const owners = [...records.values()].flatMap(({ keyId, uid, credentials }) => {
        const own = keyId === besides ? undefined : credentials.find((credential) => credential.hash === hash);
        return own === undefined ? [] : [{ createdAt: own.createdAt, uid }];
      });
      return owners.toSorted((left, right) => left.createdAt - right.createdAt || (left.uid < right.uid ? -1 : 1))[0];
    },
    isRevoked: (hash) => filed.includes(hash) || [...records.values()].some(({ revokedHashes }) => revokedHashes.includes(hash)),
    isFiled: (hash) => filed.includes(hash),
    isUnknown: () => false,
    firstGeneration,
  };
}

function isThere({ metadata }: VirtualKey | Channel): boolean {
  return metadata.deletionTimestamp === undefined;
}

function toId({ metadata }: VirtualKey | Channel): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
