import { gunzipSync, gzipSync } from 'node:zlib';
import type { Registry } from 'prom-client';
import {
  formatUsageCheckpoint,
  type ParsedUsageCheckpoint,
  parseUsageCheckpoint,
  type UsageCheckpoint,
  usageEntry,
  usageSecretName,
  usageSecretType,
} from '../../core/usage-checkpoint.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { Cluster, SecretObject } from '../cluster/cluster.ts';
import { counterOf } from '../metric.ts';
import { type SecretContent, SnapshotSecret } from '../snapshot/snapshot-secret.ts';

/** Where checkpoints are kept. */
export interface UsageStore {
  /** how many documents the keys are spread over */
  readonly buckets: number;
  /** all that can be read; of the others their bucket with the reason. Rejects while they cannot be had */
  load(): Promise<LoadedUsage>;
  /** `merge`: what to write instead over one that somebody else has written meanwhile */
  write(checkpoint: UsageCheckpoint, merge: (theirs: UsageCheckpoint) => UsageCheckpoint): Promise<void>;
}

export interface LoadedUsage {
  readonly checkpoints: readonly UsageCheckpoint[];
  readonly unreadable: ReadonlyMap<number, string>;
}

export interface UsageSecretsOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly buckets: number;
  readonly metrics: { readonly registry: Registry };
}

/** A document larger than this is nothing that we wrote. */
const mostBytes = 64 * 1024 * 1024;

/** Checkpoints in Secrets of our own namespace, one a bucket, which the cluster seals if sealing is on. */
export function makeUsageSecrets({ cluster, namespace, buckets, metrics }: UsageSecretsOptions): UsageStore {
  const writes = counterOf(metrics.registry, 'keywright_usage_checkpoints_total', 'Writes of usage Secrets', ['outcome']);
  const secrets = new Map<string, SnapshotSecret>();

  function secretOf(name: string): SnapshotSecret {
    const known = secrets.get(name) ?? new SnapshotSecret({ cluster, namespace, meters: { writes }, toRevision: toSecretRevision }, name);
    secrets.set(name, known);
    return known;
  }

  function toContent(checkpoint: UsageCheckpoint): SecretContent {
    const name = usageSecretName(checkpoint.bucket);
    const data = { [usageEntry]: gzipSync(formatUsageCheckpoint(checkpoint)).toString('base64') };
    const secret: SecretObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type: usageSecretType, data };
    return { secret, revision: toRevision(checkpoint) };
  }

  return {
    buckets,
    async load() {
      const names = new Map(Array.from({ length: buckets }, (_, bucket) => [usageSecretName(bucket), bucket]));
      const found = new Map<string, SecretObject>();
      for (const secret of await cluster.list<SecretObject>({ kind: 'Secret', namespace, fieldSelector: `type=${usageSecretType}` }))
        found.set(secret.metadata.name, secret);
      const checkpoints: UsageCheckpoint[] = [];
      const unreadable = new Map<number, string>();
      for (const [name, bucket] of names) {
        const secret = found.get(name);
        secretOf(name).adopt(secret);
        const parsed = secret === undefined ? undefined : parseUsageSecret(secret);
        if (parsed?.ok === true && parsed.checkpoint.bucket === bucket && parsed.checkpoint.buckets === buckets)
          checkpoints.push(parsed.checkpoint);
        else if (parsed !== undefined) unreadable.set(bucket, parsed.ok ? 'it is of another bucket' : parsed.message);
      }
      return { checkpoints, unreadable };
    },
    async write(checkpoint, merge) {
      await secretOf(usageSecretName(checkpoint.bucket)).write(toContent(checkpoint), (found) => {
        const theirs = parseUsageSecret(found);
        return toContent(theirs.ok ? merge(theirs.checkpoint) : checkpoint);
      });
    },
  };
}

/** The checkpoint in a Secret, or why it cannot be read. */
export function parseUsageSecret(secret: SecretObject): ParsedUsageCheckpoint {
  const encoded = secret.data?.[usageEntry] ?? '';
  try {
    return parseUsageCheckpoint(gunzipSync(Buffer.from(encoded, 'base64'), { maxOutputLength: mostBytes }).toString('utf8'));
  } catch {
    return { ok: false, reason: 'invalid', message: 'it is not gzipped' };
  }
}

function toSecretRevision(secret: SecretObject): string {
  const parsed = parseUsageSecret(secret);
  return parsed.ok ? toRevision(parsed.checkpoint) : '';
}

/** Of the content; when it was written makes no difference. */
function toRevision(checkpoint: UsageCheckpoint): string {
  return sha256Hex(formatUsageCheckpoint({ ...checkpoint, writtenAt: 0 }));
}
