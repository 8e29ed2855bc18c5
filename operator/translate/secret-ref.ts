import type { SecretRefCredential } from '../../core/resources.ts';
import type { CredentialRecord, StoredCredential } from '../credentials/hashed-secret.ts';
import { compact } from './compact.ts';
import type { CredentialOutcome } from './credential-outcome.ts';
import { findClaimProblem } from './claim.ts';
import { toRetry } from './hashes.ts';
import { earliest } from './instant.ts';
import type { KeyInput, SourceEntry } from './key-input.ts';
import type { Problem } from './problem.ts';

/**
 * The credentials of a key that somebody else's Secret holds: one Active, and the one before it as long as the Secret holds it.
 * When what the Secret says cannot be taken, what was taken last stays in force.
 */
export function takeSecretRef(input: KeyInput, record: CredentialRecord, nowMs: number): CredentialOutcome {
  const reference = input.virtualKey.spec.credential?.secretRef;
  if (reference === undefined) throw new TypeError('the key has no secretRef');
  const { name, key = 'apiKey' } = reference;
  const entry = input.source?.get(key);
  if (entry === undefined) return keep(record, secretNotFound(name, key));
  const active = take({ input, record, entry, state: 'Active', what: `the key in Secret "${name}"`, nowMs });
  if (active.problem !== undefined) return { ...keep(record, active.problem), ...compact({ wakeAt: toRetry([active.problem], nowMs) }) };
  const former = takeFormer({ input, record, reference, activeHash: entry.hash, nowMs });
  const credentials = former?.problem === undefined && former !== undefined ? [active.credential, former.credential] : [active.credential];
  const gone = record.credentials.filter(({ hash }) => !credentials.some((credential) => credential.hash === hash));
  const problem = former?.problem;
  return {
    credentials,
    // A former key that was lost to another owner is not ours to bar.
    barred: gone.filter(({ hash }) => hash !== former?.credential.hash).map(({ hash }) => hash),
    removes: gone.length > 0,
    notices: [],
    ...compact({ problem, wakeAt: problem === undefined ? undefined : earliest(nowMs, [toRetry([problem], nowMs)]) }),
  };
}

/** Missing, not labelled and without that entry are told in the same words, so that nothing is disclosed about Secrets whose owner did not consent. */
export function secretNotFound(name: string, entry: string): Problem {
  return {
    reason: 'SecretNotFound',
    message: `no Secret "${name}" with an entry "${entry}" and the label keywright.dev/credential: "true" in this namespace`,
    stalled: false,
  };
}

interface Taken {
  readonly credential: StoredCredential;
  readonly problem: Problem | undefined;
}

function takeFormer(options: {
  input: KeyInput;
  record: CredentialRecord;
  reference: SecretRefCredential;
  activeHash: string;
  nowMs: number;
}): Taken | undefined {
  const { input, record, reference, activeHash, nowMs } = options;
  const entry = reference.previousKey === undefined ? undefined : input.source?.get(reference.previousKey);
  if (entry === undefined || entry.hash === activeHash) return undefined;
  return take({ input, record, entry, state: 'Retiring', what: `the former key in Secret "${reference.name}"`, nowMs });
}

function take(options: {
  input: KeyInput;
  record: CredentialRecord;
  entry: SourceEntry;
  state: 'Active' | 'Retiring';
  what: string;
  nowMs: number;
}): Taken {
  const { input, record, entry, state, what, nowMs } = options;
  const known = record.credentials.find(({ hash }) => hash === entry.hash);
  const credential: StoredCredential = { hash: entry.hash, prefix: entry.prefix, state, createdAt: known?.createdAt ?? nowMs };
  const weak: Problem = {
    reason: 'WeakKey',
    message: `${what} must have at least 32 characters and at least 12 different ones`,
    stalled: true,
  };
  return { credential, problem: entry.weak ? weak : findClaimProblem({ claims: input.claims, record, credential, what }) };
}

function keep(record: CredentialRecord, problem: Problem): CredentialOutcome {
  return { credentials: record.credentials, barred: [], removes: false, notices: [], problem };
}
