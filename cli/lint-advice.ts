import type { Channel, VirtualKey } from '../core/resources.ts';
import type { ClusterObject, SecretObject } from '../operator/cluster/cluster.ts';
import { toDeliveryName } from '../operator/credentials/delivery-secret.ts';
import { checkTemplate } from '../operator/translate/acceptance.ts';
import { formatPath, type FieldPath } from '../standalone/manifests/field-mistake.ts';
import type { Manifest } from '../standalone/manifests/parse-manifests.ts';
import { toObjectName } from '../standalone/manifests/scan-folder.ts';
import type { Finding } from './lint.ts';

/** An object that admission accepts, with where it stands. */
export interface Advised {
  readonly manifest: Manifest;
  readonly object: ClusterObject;
}

interface Advice {
  readonly level?: Finding['level'];
  readonly path: FieldPath;
  readonly message: string;
}

interface Folder {
  readonly all: readonly Advised[];
  find(kind: string, namespace: string, name: string): ClusterObject | undefined;
}

/** What an object says that is valid and will not work, or is dangerous: looked at together with the other objects of the folder. */
export function findAdvice(all: readonly Advised[]): readonly Finding[] {
  const byName = new Map(all.map(({ object }) => [toObjectName(object), object]));
  const folder: Folder = { all, find: (kind, namespace, name) => byName.get(`${kind} ${namespace}/${name}`) };
  return all.flatMap(({ manifest, object }) =>
    adviseOn(object, folder).map(({ level = 'warning', path, message }) => ({
      level,
      file: manifest.file,
      line: manifest.lineOf(path),
      object: toObjectName(object),
      path: formatPath(path),
      message,
    })),
  );
}

function adviseOn(object: ClusterObject, folder: Folder): readonly Advice[] {
  switch (object.kind) {
    case 'VirtualKey':
      return [...adviseOnKey(object as unknown as VirtualKey, folder), ...findPlaintextKeys(object, [])];
    case 'Channel':
      return [...adviseOnChannel(object as unknown as Channel, folder), ...findPlaintextKeys(object, [])];
    default:
      return findPlaintextKeys(object.metadata, ['metadata']);
  }
}

function adviseOnKey(key: VirtualKey, folder: Folder): readonly Advice[] {
  const namespace = namespaceOf(key);
  const { credential, access } = key.spec;
  const advice: Advice[] = [];
  const problem = checkTemplate({ virtualKey: key });
  if (problem !== undefined) advice.push({ level: 'mistake', path: ['spec', 'delivery'], message: problem.message });
  for (const [position, name] of (access?.channels ?? []).entries()) {
    const path = ['spec', 'access', 'channels', position];
    advice.push(...adviseOnReference(name.includes('/') ? name : `${namespace}/${name}`, { namespace, path, folder }));
  }
  const { secretRef } = credential ?? {};
  if (secretRef !== undefined) {
    const path = ['spec', 'credential', 'secretRef'];
    advice.push(...adviseOnSecret({ namespace, name: secretRef.name, entry: secretRef.key ?? 'apiKey', path }, folder));
  }
  if (credential === undefined || credential.generate !== undefined) advice.push(...adviseOnDelivery(key, folder));
  return advice;
}

function adviseOnReference(
  id: string,
  { namespace, path, folder }: { namespace: string; path: FieldPath; folder: Folder },
): readonly Advice[] {
  const [channelNamespace = '', name = ''] = id.split('/');
  const channel = folder.find('Channel', channelNamespace, name) as unknown as Channel | undefined;
  if (channel === undefined) return [{ path, message: 'names a Channel that is not among these manifests' }];
  const { from = 'Same' } = channel.spec.allowedNamespaces ?? {};
  if (from !== 'Same' || channelNamespace === namespace) return [];
  return [{ path, message: 'names a Channel that is open to its own namespace only (allowedNamespaces)' }];
}

/** The delivery Secret is made by the operator, and never where something else has its name. */
function adviseOnDelivery(key: VirtualKey, folder: Folder): readonly Advice[] {
  const namespace = namespaceOf(key);
  const name = toDeliveryName(key);
  const path = key.spec.delivery?.secretName === undefined ? ['metadata', 'name'] : ['spec', 'delivery', 'secretName'];
  const message = (other: string): string => `the key is delivered to the Secret ${name}, which is also ${other}`;
  if (folder.find('Secret', namespace, name) !== undefined) return [{ path, message: message('among these manifests') }];
  const other = folder.all.find(({ object }) => {
    if (object.kind !== 'VirtualKey' || object.metadata.name === key.metadata.name) return false;
    const candidate = object as unknown as VirtualKey;
    const generates = candidate.spec.credential === undefined || candidate.spec.credential.generate !== undefined;
    return generates && namespaceOf(candidate) === namespace && toDeliveryName(candidate) === name;
  });
  return other === undefined ? [] : [{ path, message: message(`that of ${toObjectName(other.object)}`) }];
}

function adviseOnChannel(channel: Channel, folder: Folder): readonly Advice[] {
  const namespace = namespaceOf(channel);
  const { provider, auth, tls } = channel.spec;
  const advice: Advice[] = [];
  if (provider === 'Bedrock' || provider === 'VertexAI')
    advice.push({ path: ['spec', 'provider'], message: 'is not supported by this version' });
  for (const [position, { secretRef }] of (auth?.apiKeys ?? []).entries()) {
    const path = ['spec', 'auth', 'apiKeys', position, 'secretRef'];
    advice.push(...adviseOnSecret({ namespace, name: secretRef.name, entry: secretRef.key, path }, folder));
  }
  const ca = tls?.caSecretRef;
  if (ca !== undefined)
    advice.push(...adviseOnSecret({ namespace, name: ca.name, entry: ca.key, path: ['spec', 'tls', 'caSecretRef'] }, folder));
  return advice;
}

interface SecretUse {
  readonly namespace: string;
  readonly name: string;
  readonly entry: string | undefined;
  readonly path: FieldPath;
}

/** A Secret that is not here may come from elsewhere (External Secrets, Vault): nothing can be said of it. */
function adviseOnSecret({ namespace, name, entry, path }: SecretUse, folder: Folder): readonly Advice[] {
  const secret: SecretObject | undefined = folder.find('Secret', namespace, name);
  if (secret === undefined) return [];
  const advice: Advice[] = [];
  if (secret.metadata.labels?.['keywright.dev/credential'] !== 'true') {
    advice.push({ path, message: 'the Secret lacks the label keywright.dev/credential: "true", without which it is not read' });
  }
  if (entry !== undefined && !Object.hasOwn(secret.data ?? {}, entry)) advice.push({ path, message: `the Secret has no entry ${entry}` });
  return advice;
}

/** Keys of the usual providers, and whatever of our own format stands where everybody can read it. */
const plaintextKey =
  /(?:^|[^A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{20,}|[a-z0-9_-]+[_-][0-9A-Za-z]{10}-[0-9A-Za-z]{49}|AIza[0-9A-Za-z_-]{35}|gsk_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16})/;

function findPlaintextKeys(value: unknown, path: FieldPath): readonly Advice[] {
  if (typeof value === 'string')
    return plaintextKey.test(value) ? [{ path, message: 'looks like a plaintext key; keys belong into Secrets' }] : [];
  if (Array.isArray(value)) return value.flatMap((item, position) => findPlaintextKeys(item, [...path, position]));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) => findPlaintextKeys(child, [...path, name]));
}

function namespaceOf({ metadata }: { metadata: { namespace?: string } }): string {
  return metadata.namespace ?? 'default';
}
