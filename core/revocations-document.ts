import { anyObject, type Revocation } from './revocation.ts';
import { Flaw, integer, list, object, oneOf, type Reader, text } from './shape.ts';

export const revocationsSecretName = 'keywright-snapshot-revocations';

/** More at once than a shard that cannot be written has keys; a bound against a document that nobody could hold. */
export const mostRevocations = 5_000;

/**
 * The part of the snapshot that says what its shards should say and cannot, because they are not written at present. It only takes away, and every proxy sets it above all shards.
 */
export interface RevocationsDocument {
  readonly kind: 'revocations';
  readonly schema: number;
  readonly minReader: number;
  readonly entries: readonly Revocation[];
}

const entry = object<Revocation>({
  keyId: text(/^[^/ ]+\/[^/ ]+$/, 'namespace/name'),
  uid: notAny(text(/^[^ ]{1,64}$/, 'a uid')),
  gen: integer(),
  state: oneOf('Active', 'Suspended', 'Revoked', 'Deleted'),
  ended: list(text(/^[0-9a-f]{12}$/, '12 hex digits')),
});

export const revocationsReader: Reader<RevocationsDocument> = object<RevocationsDocument>({
  kind: oneOf('revocations'),
  schema: integer(1),
  minReader: integer(1),
  entries: bounded(list(entry), mostRevocations),
});

function bounded<T>(reader: Reader<readonly T[]>, most: number): Reader<readonly T[]> {
  return (value) => (Array.isArray(value) && value.length > most ? new Flaw(`a list of at most ${most}`) : reader(value));
}

/** Whoever writes the snapshot knows the object; a name alone is for those who have nothing but Redis left. */
function notAny(reader: Reader<string>): Reader<string> {
  return (value) => (value === anyObject ? new Flaw('a uid') : reader(value));
}
