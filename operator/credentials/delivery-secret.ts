import type { VirtualKey, VirtualKeyDelivery } from '../../core/resources.ts';
import { Secret } from '../../core/secret.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { SecretObject } from '../cluster/cluster.ts';
import type { Notice } from '../translate/problem.ts';

export const deliveryLabel = 'keywright.dev/key';

/** An entry is the key itself or a literal. */
export type DeliveryEntry = { readonly key: true } | { readonly literal: string };

export interface DeliveryLayout {
  readonly name: string;
  /** the entry that tells which key the Secret holds */
  readonly secretKey: string;
  readonly entries: Readonly<Record<string, DeliveryEntry>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What is known of a Secret under the delivery Secret's name; of its values only the hashes. */
export interface DeliveryFacts {
  /** `former`: it belongs to a former VirtualKey of the same name and goes with it */
  readonly owner: 'this' | 'former' | 'other';
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** entry → hex SHA-256 of its value; empty unless the owner is `this` */
  readonly entries: Readonly<Record<string, string>>;
}

/** A write of the delivery Secret. */
export interface DeliveryPlan {
  readonly mode: 'create' | 'replace';
  /** hash of the key that goes in; undefined: the plaintext goes out */
  readonly keyHash: string | undefined;
  readonly layout: DeliveryLayout;
  /** Events that become true with this write */
  readonly notices?: readonly Notice[];
}

/** Name of the Secret in the namespace of the VirtualKey. */
export function toDeliveryName(virtualKey: VirtualKey): string {
  return virtualKey.spec.delivery?.secretName ?? `${virtualKey.metadata.name}-virtualkey`;
}

/** What the delivery Secret of a key must look like. `publicUrl` without a trailing slash. */
export function toDeliveryLayout(virtualKey: VirtualKey, publicUrl: string): DeliveryLayout {
  const { secretKey = 'apiKey', template } = virtualKey.spec.delivery ?? {};
  return {
    name: toDeliveryName(virtualKey),
    secretKey,
    entries: { ...toLiterals(template?.data ?? {}), ...toGeneratedEntries(virtualKey.spec.delivery ?? {}, publicUrl) },
    labels: { ...template?.labels, [deliveryLabel]: toLabelValue(virtualKey.metadata.name) },
    annotations: { ...template?.annotations },
  };
}

/** The entries that the operator makes by itself; a template may not name them. */
export function toGeneratedEntries(delivery: VirtualKeyDelivery, publicUrl: string): Record<string, DeliveryEntry> {
  const presets = (delivery.environment ?? []).map((name) => toPreset(name, publicUrl));
  return Object.assign({ [delivery.secretKey ?? 'apiKey']: key, baseURL: { literal: publicUrl } }, ...presets) as Record<
    string,
    DeliveryEntry
  >;
}

const key: DeliveryEntry = { key: true };

type Environment = NonNullable<VirtualKeyDelivery['environment']>[number];

/** The variables that each SDK reads by itself. OpenAI's base URL ends in /v1, since its SDKs append `/chat/completions`; the others append the whole path. */
function toPreset(environment: Environment, publicUrl: string): Record<string, DeliveryEntry> {
  const address: DeliveryEntry = { literal: publicUrl };
  switch (environment) {
    case 'OpenAI':
      return { OPENAI_API_KEY: key, OPENAI_BASE_URL: { literal: `${publicUrl}/v1` } };
    case 'AzureOpenAI':
      return { AZURE_OPENAI_API_KEY: key, AZURE_OPENAI_ENDPOINT: address, OPENAI_API_VERSION: { literal: '2024-10-21' } };
    case 'Anthropic':
      return { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: address };
    case 'ClaudeCode':
      return { ANTHROPIC_AUTH_TOKEN: key, ANTHROPIC_BASE_URL: address };
    case 'Gemini':
      return { GEMINI_API_KEY: key, GOOGLE_GEMINI_BASE_URL: address };
  }
}

/** The layout without any entry that holds the key. */
export function toRedacted(layout: DeliveryLayout): DeliveryLayout {
  const literals = Object.entries(layout.entries).filter(([, entry]) => 'literal' in entry);
  return { ...layout, entries: Object.fromEntries(literals) };
}

/** `secret` may be metadata only when its owner is somebody else: then its values are nobody's business. */
export function toDeliveryFacts(secret: SecretObject, virtualKey: VirtualKey): DeliveryFacts {
  const owner = toOwner(secret, virtualKey);
  const data = owner === 'this' ? (secret.data ?? {}) : {};
  return {
    owner,
    resourceVersion: secret.metadata.resourceVersion ?? '',
    labels: secret.metadata.labels ?? {},
    annotations: secret.metadata.annotations ?? {},
    entries: Object.fromEntries(Object.entries(data).map(([name, value]) => [name, sha256Hex(Buffer.from(value, 'base64'))])),
  };
}

/** Whose Secret it is: of this VirtualKey, of a former one of the same name, or of somebody else, who keeps it. */
export function toOwner(secret: Pick<SecretObject, 'metadata'>, virtualKey: VirtualKey): DeliveryFacts['owner'] {
  const owner = secret.metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (owner === undefined || owner.kind !== 'VirtualKey' || !owner.apiVersion.startsWith('keywright.dev/')) return 'other';
  if (owner.uid === virtualKey.metadata.uid) return 'this';
  return owner.name === virtualKey.metadata.name ? 'former' : 'other';
}

/** Whether the Secret is as it must be. Others may add labels and annotations to it, but no entries. */
export function isLaidOut(facts: DeliveryFacts, layout: DeliveryLayout, keyHash: string | undefined): boolean {
  const names = Object.keys(layout.entries);
  if (names.length !== Object.keys(facts.entries).length) return false;
  const entriesHold = Object.entries(layout.entries).every(
    ([name, entry]) => facts.entries[name] === ('key' in entry ? keyHash : sha256Hex(entry.literal)),
  );
  return entriesHold && holds(facts.labels, layout.labels) && holds(facts.annotations, layout.annotations);
}

/** The Secret to write. `before`: the one that is replaced, whose foreign labels and annotations stay. */
export function toDeliverySecret(options: {
  plan: DeliveryPlan;
  key: Secret | undefined;
  virtualKey: VirtualKey;
  before: SecretObject | undefined;
}): SecretObject {
  const { layout } = options.plan;
  const former = options.before ?? toEmptySecret(options.virtualKey, layout.name);
  return {
    ...former,
    metadata: {
      ...former.metadata,
      labels: { ...former.metadata.labels, ...layout.labels },
      annotations: { ...former.metadata.annotations, ...layout.annotations },
    },
    data: toData(layout, options.key?.reveal()),
  };
}

function toEmptySecret({ apiVersion, kind, metadata }: VirtualKey, name: string): SecretObject {
  const { namespace = '', uid = '' } = metadata;
  // With true, whoever may not update the VirtualKey's finalizers could not create the Secret where OwnerReferencesPermissionEnforcement is on.
  const owner = { apiVersion, kind, name: metadata.name, uid, controller: true, blockOwnerDeletion: false };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace, ownerReferences: [owner] }, type: 'Opaque' };
}

function toData(layout: DeliveryLayout, plain: string | undefined): Record<string, string> {
  const data: Record<string, string> = {};
  for (const [name, entry] of Object.entries(layout.entries)) {
    const value = 'key' in entry ? plain : entry.literal;
    if (value === undefined) throw new TypeError('a delivery Secret with key entries needs the key');
    data[name] = Buffer.from(value).toString('base64');
  }
  return data;
}

function toLiterals(data: Readonly<Record<string, string>>): Record<string, DeliveryEntry> {
  return Object.fromEntries(Object.entries(data).map(([name, literal]) => [name, { literal }]));
}

function holds(actual: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => actual[name] === value);
}

/** A label's value has at most 63 characters; a longer name is known by its hash. */
function toLabelValue(name: string): string {
  return name.length <= 63 ? name : sha256Hex(name).slice(0, 40);
}

/** The key of this hash (64 lower-case hex digits) in a delivery Secret; undefined: it is not there. */
export function findKey(secret: SecretObject | undefined, hash: string): Secret | undefined {
  for (const value of Object.values(secret?.data ?? {})) {
    const bytes = Buffer.from(value, 'base64');
    if (sha256Hex(bytes) === hash) return new Secret(bytes.toString('utf8'));
  }
  return undefined;
}
