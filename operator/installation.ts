import { Secret } from '../core/secret.ts';
import type { Cluster, SecretObject } from './cluster/cluster.ts';

const installationName = 'keywright-installation';
const entry = 'secret';

/**
 * The secret by which credential ids and snapshot buckets are chosen, made once for an installation. With it nobody can aim a key at a neighbour's bucket, and it must
 * never change: everything would move.
 */
export async function loadInstallationSecret(cluster: Cluster, namespace: string, random: (bytes: number) => Uint8Array): Promise<Secret> {
  const reference = { kind: 'Secret', namespace, name: installationName } as const;
  const known = await cluster.get<SecretObject>(reference);
  if (known !== undefined) return toInstallationSecret(known);
  const made: SecretObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: installationName, namespace },
    type: 'Opaque',
    data: { [entry]: Buffer.from(Buffer.from(random(32)).toString('hex')).toString('base64') },
  };
  const outcome = await cluster.create(made);
  if (outcome.outcome === 'written') return toInstallationSecret(outcome.object);
  // Another replica was first: what it made counts.
  const theirs = await cluster.get<SecretObject>(reference);
  if (theirs === undefined) throw new Error(`Secret ${namespace}/${installationName} vanished while it was read`);
  return toInstallationSecret(theirs);
}

/** The same for a replica that may not write; undefined: none has been made yet. */
export async function readInstallationSecret(cluster: Pick<Cluster, 'get'>, namespace: string): Promise<Secret | undefined> {
  const secret = await cluster.get<SecretObject>({ kind: 'Secret', namespace, name: installationName });
  return secret === undefined ? undefined : toInstallationSecret(secret);
}

function toInstallationSecret(secret: SecretObject): Secret {
  const value = Buffer.from(secret.data?.[entry] ?? '', 'base64').toString('utf8');
  if (value.length < 32) throw new Error(`Secret ${secret.metadata.namespace}/${installationName} is damaged: restore it from a backup`);
  return new Secret(value);
}
