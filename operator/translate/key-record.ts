import { parseNanoUsd } from '../../core/money.ts';
import type { VirtualKey } from '../../core/resources.ts';
import type { CredentialEntry, KeyBudget, KeyRecord } from '../../core/snapshot.ts';
import { hmacHex } from '../../runtime/digest.ts';
import type { CredentialRecord, StoredCredential } from '../credentials/hashed-secret.ts';
import { toChannelIds } from './acceptance.ts';
import { compact } from './compact.ts';
import { parseInstant } from './instant.ts';
import type { TranslateSettings } from './key-input.ts';
import type { Problem } from './problem.ts';

/** The bound of one key's part of the snapshot, encoded: a shard is at most 512 KiB and must hold many. */
const largestRecordBytes = 8_192;

/** Names a credential without telling its hash: 12 hex digits. */
export function toCredentialId(hash: string, settings: Pick<TranslateSettings, 'installationSecret'>): string {
  return hmacHex(settings.installationSecret.reveal(), hash).slice(0, 12);
}

/** What the proxies are told of a key whose spec is accepted. */
export function toKeyRecord(virtualKey: VirtualKey, record: CredentialRecord, settings: TranslateSettings): KeyRecord {
  const { spec } = virtualKey;
  return compact({
    ...toBase(virtualKey, record),
    state: record.revokedAt !== undefined ? ('Revoked' as const) : spec.suspended === true ? ('Suspended' as const) : ('Active' as const),
    expiresAt: toExpiry(virtualKey),
    credentials: toEntries(record.credentials, settings),
    access: compact({ ...spec.access, channels: toChannelIds(virtualKey) }),
    limits: spec.limits,
    budgets: spec.budgets?.map(toBudget),
    owner: spec.owner,
    tags: spec.tags,
  });
}

/** A key that was never accepted: its holders learn that it is not ready, instead of that it does not exist. */
export function toNotReadyRecord(virtualKey: VirtualKey, record: CredentialRecord, settings: TranslateSettings): KeyRecord {
  return {
    ...toBase(virtualKey, record),
    state: record.revokedAt === undefined ? 'NotReady' : 'Revoked',
    credentials: toEntries(record.credentials, settings),
    access: {},
  };
}

/**
 * What was accepted last, with what always applies: suspension, revocation, an earlier expiry, and hashes that were taken out.
 * Hashes that the refused edit adds are not in force; those of a generated key or of a Secret are no part of the edit.
 */
export function toLastAcceptedRecord(options: {
  virtualKey: VirtualKey;
  record: CredentialRecord;
  settings: TranslateSettings;
  accepted: KeyRecord;
}): KeyRecord {
  const { virtualKey, record, settings, accepted } = options;
  const { spec } = virtualKey;
  const entries = toEntries(record.credentials, settings);
  const expiresAt = Math.min(accepted.expiresAt ?? Infinity, toExpiry(virtualKey) ?? Infinity);
  const state = record.revokedAt !== undefined ? 'Revoked' : spec.suspended === true ? 'Suspended' : accepted.state;
  return compact({
    ...accepted,
    gen: record.gen,
    state,
    expiresAt: expiresAt === Infinity ? undefined : expiresAt,
    credentials: spec.credential?.hashes === undefined ? entries : entries.flatMap((entry) => toStricter(entry, accepted)),
  });
}

/** A record that would fill a shard by itself is not taken. */
export function checkRecordSize(record: KeyRecord): Problem | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(record));
  if (bytes <= largestRecordBytes) return undefined;
  return {
    reason: 'RecordTooLarge',
    message: `the key takes ${bytes} bytes of the snapshot; allowed: ${largestRecordBytes}. Shorten its lists and tags`,
    stalled: true,
  };
}

/** When the key ends, milliseconds since 1970; undefined: it does not. */
export function toExpiry(virtualKey: VirtualKey): number | undefined {
  return virtualKey.spec.expiresAt === undefined ? undefined : parseInstant(virtualKey.spec.expiresAt);
}

function toBase(virtualKey: VirtualKey, record: CredentialRecord) {
  return { id: record.keyId, uid: record.uid, generation: virtualKey.metadata.generation ?? 0, gen: record.gen };
}

function toEntries(credentials: readonly StoredCredential[], settings: TranslateSettings): CredentialEntry[] {
  return credentials.map(({ hash, prefix, state, until, notBefore, notAfter }) =>
    compact({
      id: toCredentialId(hash, settings),
      hash,
      prefix,
      state,
      notBefore,
      notAfter: state === 'Pending' ? (until ?? 0) : notAfter,
    }),
  );
}

function toStricter(entry: CredentialEntry, accepted: KeyRecord): CredentialEntry[] {
  const known = accepted.credentials.find(({ hash }) => hash === entry.hash);
  if (known === undefined) return [];
  const notAfter = Math.min(known.notAfter ?? Infinity, entry.notAfter ?? Infinity);
  const notBefore = Math.max(known.notBefore ?? -Infinity, entry.notBefore ?? -Infinity);
  return [
    compact({
      ...entry,
      notBefore: notBefore === -Infinity ? undefined : notBefore,
      notAfter: notAfter === Infinity ? undefined : notAfter,
    }),
  ];
}

function toBudget({ period, limit, mode = 'Enforce', warnAt = [80, 100] }: NonNullable<VirtualKey['spec']['budgets']>[number]): KeyBudget {
  return { period, limitNanoUsd: parseNanoUsd(limit), mode, warnAt };
}
