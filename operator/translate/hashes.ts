import type { HashCredential } from '../../core/resources.ts';
import type { CredentialRecord, StoredCredential } from '../credentials/hashed-secret.ts';
import { compact } from './compact.ts';
import type { CredentialOutcome } from './credential-outcome.ts';
import { earliest, parseInstant } from './instant.ts';
import { findClaimProblem } from './claim.ts';
import type { KeyInput } from './key-input.ts';
import type { Problem } from './problem.ts';

/** A hash that another key owns may become free (its owner's entry ended by itself); nobody tells us. */
const duplicateRetryMs = 600_000;

/** The credentials of a key that brings its own hashes: as written, except those that are revoked or belong to another key. */
export function takeHashes(input: KeyInput, record: CredentialRecord, nowMs: number): CredentialOutcome {
  const written = input.virtualKey.spec.credential?.hashes ?? [];
  const problems: Problem[] = [];
  const credentials: StoredCredential[] = [];
  for (const [index, entry] of written.entries()) {
    const credential = toStored(entry, record, nowMs);
    const problem = findClaimProblem({ claims: input.claims, record, credential, what: `credential.hashes[${index}]` });
    if (problem === undefined) credentials.push(credential);
    else problems.push(problem);
  }
  const names = new Set(written.map(({ hash }) => toHex(hash)));
  const gone = record.credentials.filter(({ hash }) => !credentials.some((credential) => credential.hash === hash));
  // An entry whose end had come anyway is not barred, and one that was lost to its first owner is not ours to bar.
  const barred = gone
    .filter(({ hash, notAfter }) => !names.has(hash) && (notAfter === undefined || notAfter > nowMs))
    .map(({ hash }) => hash);
  const times = credentials.flatMap(({ notBefore, notAfter }) => [notBefore, notAfter]);
  return {
    credentials,
    barred,
    removes: gone.length > 0,
    notices: [],
    ...compact({ problem: joinProblems(problems), wakeAt: earliest(nowMs, [...times, toRetry(problems, nowMs)]) }),
  };
}

/** One problem that tells all of them; the first gives the reason. */
function joinProblems(problems: readonly Problem[]): Problem | undefined {
  const [first] = problems;
  return first === undefined ? undefined : { ...first, message: problems.map(({ message }) => message).join('; ') };
}

/** When to look again, because another object or a backup may lift it; milliseconds since 1970. */
export function toRetry(problems: readonly Problem[], nowMs: number): number | undefined {
  return problems.some(({ reason }) => reason === 'DuplicateCredential' || reason === 'RevokedHashesLost')
    ? nowMs + duplicateRetryMs
    : undefined;
}

function toStored(entry: HashCredential, record: CredentialRecord, nowMs: number): StoredCredential {
  const hash = toHex(entry.hash);
  const createdAt = record.credentials.find((known) => known.hash === hash)?.createdAt ?? nowMs;
  return compact({
    hash,
    prefix: entry.prefix ?? '',
    state: 'Active' as const,
    createdAt,
    notBefore: entry.notBefore === undefined ? undefined : parseInstant(entry.notBefore),
    // A time that cannot be read refuses: an unreadable beginning is an end that has passed.
    notAfter: isUnreadable(entry.notBefore) ? 0 : entry.notAfter === undefined ? undefined : parseInstant(entry.notAfter),
  });
}

function isUnreadable(text: string | undefined): boolean {
  return text !== undefined && Number.isNaN(parseInstant(text, Number.NaN));
}

function toHex(hash: string): string {
  return hash.replace(/^sha256:/, '');
}
