import { isObject } from '../../core/json.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { SecretObject } from '../cluster/cluster.ts';

const hashedSecretType = 'keywright.dev/credential';
export const hashedSecretLabel = 'keywright.dev/credential-record';
const entry = 'record';

/** One secret of a virtual key as the operator remembers it: never the secret itself. */
export interface StoredCredential {
  /** lower-case hex SHA-256 of the whole key */
  readonly hash: string;
  /** display prefix, `''` if unknown */
  readonly prefix: string;
  readonly state: 'Pending' | 'Active' | 'Retiring';
  /** who tries to deliver a Pending one */
  readonly attempt?: string;
  /** when a Pending one stops being accepted, milliseconds since 1970 */
  readonly until?: number;
  readonly createdAt: number;
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** when a generated key was found delivered */
  readonly deliveredAt?: number;
  /** from when on its plaintext may not be in the delivery Secret any more */
  readonly redactedAt?: number;
  /** of a Pending one: what asked for it, and how long the key that it replaces goes on, if not as the spec says */
  readonly trigger?: string;
  readonly rotate?: string;
  readonly overlapMs?: number;
}

/**
 * What the operator knows of one key beyond its VirtualKey. It is the truth that survives the loss of status, of the snapshot and of the operator;
 * after the deletion of the VirtualKey it stays as a tombstone. Times in milliseconds since 1970.
 */
export interface CredentialRecord {
  readonly schema: 1;
  readonly keyId: string;
  /** of the VirtualKey; another one under the same name is another key */
  readonly uid: string;
  /** revocation counter; raised by revoke, suspend, resume, delete and a rotation without overlap */
  readonly gen: number;
  readonly credentials: readonly StoredCredential[];
  /** hashes that were once accepted and never will be again, sorted; those that are filed already may be missing */
  readonly revokedHashes: readonly string[];
  /** how many more were filed among the revoked hashes of all keys */
  readonly filedHashes?: number;
  readonly suspended: boolean;
  /** when that was set or set back last */
  readonly suspensionChangedAt?: number;
  /** the rotation.trigger and the rotate annotation that have been acted on */
  readonly handledTrigger?: string;
  readonly handledRotate?: string;
  /** when a key was last replaced by another one */
  readonly rotatedAt?: number;
  readonly revokedAt?: number;
  readonly deletedAt?: number;
}

/** Name in the system namespace: the hash tells `a-b/c` from `a/b-c`; dots are replaced so that a cut never leaves an invalid name. At most 253 characters. */
export function toHashedSecretName(keyId: string): string {
  const readable = `vk-${keyId.replaceAll(/[/.]/g, '-')}`.slice(0, 236);
  return `${readable}-${sha256Hex(keyId).slice(0, 16)}`;
}

/** The Secret in which the record is kept. */
export function toHashedSecret(record: CredentialRecord, namespace: string): SecretObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: toHashedSecretName(record.keyId), namespace, labels: { [hashedSecretLabel]: 'true' } },
    type: hashedSecretType,
    data: { [entry]: Buffer.from(JSON.stringify(record)).toString('base64') },
  };
}

/** The record in a hashed Secret; undefined when it is not one of ours or cannot be read (then it must not be overwritten either). */
export function parseHashedSecret(secret: SecretObject): CredentialRecord | undefined {
  const encoded = secret.data?.[entry];
  if (secret.type !== hashedSecretType || encoded === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(encoded, 'base64').toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isRecord(value) || toHashedSecretName(value.keyId) !== secret.metadata.name) return undefined;
  return value;
}

const hashPattern = /^[a-f0-9]{64}$/;

function isRecord(value: unknown): value is CredentialRecord {
  if (!isObject(value) || value['schema'] !== 1) return false;
  const { keyId, uid, gen, credentials, revokedHashes, suspended } = value;
  return (
    typeof keyId === 'string' &&
    typeof uid === 'string' &&
    Number.isSafeInteger(gen) &&
    typeof suspended === 'boolean' &&
    ['revokedAt', 'deletedAt', 'rotatedAt', 'suspensionChangedAt', 'filedHashes'].every((name) =>
      isOptional(value[name], Number.isFinite),
    ) &&
    ['handledTrigger', 'handledRotate'].every((name) => isOptional(value[name], isText)) &&
    Array.isArray(revokedHashes) &&
    revokedHashes.every((hash) => typeof hash === 'string' && hashPattern.test(hash)) &&
    Array.isArray(credentials) &&
    credentials.every(isCredential)
  );
}

function isCredential(value: unknown): value is StoredCredential {
  if (!isObject(value)) return false;
  const { hash, prefix, state, createdAt, until } = value;
  return (
    typeof hash === 'string' &&
    hashPattern.test(hash) &&
    typeof prefix === 'string' &&
    (state === 'Active' || state === 'Retiring' || (state === 'Pending' && Number.isFinite(until))) &&
    Number.isFinite(createdAt) &&
    ['notBefore', 'notAfter', 'deliveredAt', 'redactedAt', 'overlapMs'].every((name) => isOptional(value[name], Number.isFinite)) &&
    ['trigger', 'rotate'].every((name) => isOptional(value[name], isText))
  );
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isOptional(value: unknown, holds: (value: unknown) => boolean): boolean {
  return value === undefined || holds(value);
}
