import { defaultKeyPrefix } from '../core/virtual-key.ts';
import type { Settings } from '../runtime/environment.ts';
import { defineSettings, parseSettings } from '../runtime/environment.ts';
import { processSettings } from '../runtime/process-settings.ts';
import { findRedisMistakes, redisSettings } from '../runtime/redis-settings.ts';
import type { SealFile } from '../runtime/seal-file.ts';
import { openSealFile, sealSettings } from '../runtime/seal-file.ts';
import type { OperatorSettings } from './operator.ts';

/** Settings of `keywright operator`. */
export const operatorSettings = defineSettings({
  ...sealSettings,
  ...redisSettings,
  namespace: {
    name: 'KEYWRIGHT_NAMESPACE',
    kind: 'text',
    default: 'keywright-system',
    description: "the operator's own namespace: hashed Secrets, lease, installation secret",
  },
  snapshotNamespace: {
    name: 'KEYWRIGHT_SNAPSHOT_NAMESPACE',
    kind: 'text',
    default: 'keywright-snapshot',
    description: 'namespace of the snapshot; who may read its Secrets can read the provider keys',
  },
  watchNamespaces: {
    name: 'KEYWRIGHT_WATCH_NAMESPACES',
    kind: 'list',
    description: 'namespaces whose VirtualKeys and Channels count; absent means all',
  },
  publicUrl: {
    name: 'KEYWRIGHT_PUBLIC_URL',
    kind: 'url',
    protocols: ['http', 'https'],
    required: true,
    description: 'where clients reach the proxies; written into every delivery Secret',
  },
  keyPrefix: {
    name: 'KEYWRIGHT_KEY_PREFIX',
    kind: 'text',
    default: defaultKeyPrefix,
    description: 'what generated keys begin with, unless the VirtualKey says otherwise',
  },
  apiListen: {
    name: 'KEYWRIGHT_API_LISTEN',
    kind: 'address',
    default: '127.0.0.1:8090',
    description: 'where the management API will be served; nothing listens there in this version',
  },
  ...processSettings,
  allowLinkLocal: {
    name: 'KEYWRIGHT_ALLOW_LINK_LOCAL',
    kind: 'boolean',
    default: 'false',
    description: 'Channels may point to link-local and metadata addresses',
  },
  crdCheck: {
    name: 'KEYWRIGHT_CRD_CHECK',
    kind: 'choice',
    choices: ['on', 'off'],
    default: 'on',
    description: 'compare the CRDs of the cluster with what this version enforces; needs `get` on them',
  },
  redisUrl: {
    name: 'KEYWRIGHT_REDIS_URL',
    kind: 'text',
    secret: true,
    description:
      'the Redis of the proxies: revocations also go through it, so that they arrive without the API server and without a leader; without it through the snapshot alone',
  },
  leaseDuration: {
    name: 'KEYWRIGHT_LEASE_DURATION',
    kind: 'duration',
    default: '60s',
    minimum: 6_000,
    maximum: 600_000,
    description:
      'after so long without a sign of the leader another replica takes over; the leader stops at two thirds of it. The same for all replicas',
  },
  tombstoneRetention: {
    name: 'KEYWRIGHT_TOMBSTONE_RETENTION',
    kind: 'duration',
    default: '2160h',
    minimum: 0,
    description: 'how long the record of a deleted key stays for audit; its revoked hashes and its generation are kept for ever',
  },
  maxKeySeries: {
    name: 'KEYWRIGHT_MAX_KEY_SERIES',
    kind: 'integer',
    default: '5000',
    minimum: 0,
    maximum: 1_000_000,
    description: 'keys with metrics of their own',
  },
  settle: {
    name: 'KEYWRIGHT_SETTLE',
    kind: 'duration',
    default: '2s',
    minimum: 0,
    maximum: 60_000,
    description: 'how long after its publication a new key is delivered, where no proxy tells through Redis what it has',
  },
});

export type OperatorConfig = Settings<typeof operatorSettings>;

const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
/** The pattern that the CRD sets for `credential.generate.prefix`. */
const prefixPattern = /^[a-z0-9]+([_-][a-z0-9]+)*[_-]$/;

/** The configuration, or every mistake in it. */
export function parseOperatorConfig(
  environment: Readonly<Record<string, string | undefined>>,
): { ok: true; config: OperatorConfig; seal: SealFile | undefined } | { ok: false; mistakes: readonly string[] } {
  const parsed = parseSettings(operatorSettings, environment);
  // Looked at whatever else is wrong, so that all is told at once.
  const seal = openSealFile(environment[sealSettings.sealKeyFile.name]);
  const readable = parsed.ok ? parsed.settings : parsed.readable;
  const mistakes = [
    ...(parsed.ok ? [] : parsed.mistakes),
    ...findBadNamespaces(readable),
    ...findBadValues(readable),
    ...findRedisMistakes(readable),
    ...(seal.ok ? [] : seal.mistakes),
  ];
  return parsed.ok && mistakes.length === 0 && seal.ok ? { ok: true, config: parsed.settings, seal: seal.file } : { ok: false, mistakes };
}

export function toOperatorSettings(config: OperatorConfig): OperatorSettings {
  const { namespace, snapshotNamespace, watchNamespaces, publicUrl, keyPrefix, allowLinkLocal, crdCheck, tombstoneRetention } = config;
  return {
    namespace,
    snapshotNamespace,
    watchNamespaces: [...new Set(watchNamespaces)],
    publicUrl,
    keyPrefix,
    allowLinkLocal,
    crdCheck: crdCheck === 'on',
    tombstoneMs: tombstoneRetention,
  };
}

function findBadNamespaces({ namespace, snapshotNamespace, watchNamespaces = [] }: Partial<OperatorConfig>): string[] {
  const named: readonly (readonly [string, string | undefined])[] = [
    ['KEYWRIGHT_NAMESPACE', namespace],
    ['KEYWRIGHT_SNAPSHOT_NAMESPACE', snapshotNamespace],
    ...watchNamespaces.map((name) => ['KEYWRIGHT_WATCH_NAMESPACES', name] as const),
  ];
  const mistakes = named
    .filter(([, name]) => name !== undefined && !namespacePattern.test(name))
    .map(([setting, name]) => `${setting} must be a namespace's name, not "${name}"`);
  // Whoever may read the snapshot must not thereby be able to read the hashed Secrets and the installation secret.
  if (namespace === snapshotNamespace)
    mistakes.push('KEYWRIGHT_SNAPSHOT_NAMESPACE must differ from KEYWRIGHT_NAMESPACE: proxies may read all Secrets of the former');
  return mistakes;
}

/** In what could be read; also for the settings that standalone has in common with the operator. */
export function findBadValues({ publicUrl, keyPrefix }: Partial<Pick<OperatorConfig, 'publicUrl' | 'keyPrefix'>>): string[] {
  const mistakes: string[] = [];
  if (keyPrefix !== undefined && (keyPrefix.length > 24 || !prefixPattern.test(keyPrefix))) {
    mistakes.push(`KEYWRIGHT_KEY_PREFIX must be at most 24 lower-case letters, digits, - and _, and end in - or _, not "${keyPrefix}"`);
  }
  if (publicUrl === undefined) return mistakes;
  const url = new URL(publicUrl);
  if (url.search !== '' || url.hash !== '' || url.username !== '' || /\/v1\/?$/.test(url.pathname)) {
    mistakes.push('KEYWRIGHT_PUBLIC_URL must be an address without user, query and fragment, and without /v1 at its end');
  }
  return mistakes;
}
