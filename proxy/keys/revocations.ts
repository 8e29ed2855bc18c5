import type { Refusal } from '../../core/refusals.ts';
import { isFinal, isSuperseded, mergeRevocations, overruling, type Overruling, type Revocation } from '../../core/revocation.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import type { Metrics } from '../../runtime/metrics.ts';

/** What overrules the snapshot in this proxy, whichever way it came. */
export interface Revocations {
  /** one that was told: it counts from now on, together with what is known of the same object */
  take(revocation: Revocation): void;
  /** what it says of a request that shows this credential of this record; undefined: nothing */
  overruling(record: Pick<KeyRecord, 'id' | 'uid' | 'gen'>, credentialId: string): Overruling | undefined;
  /** lets go of what the snapshot in force says itself */
  forget(): void;
  /** calls `listener` after each change with the key it is about; gives a function that ends the subscription */
  onChange(listener: (keyId: string) => void): () => void;
  readonly size: number;
}

interface Held {
  readonly revocation: Revocation;
  /** when it was last told, by anybody */
  readonly seenMs: number;
}

export interface RevocationsOptions {
  readonly now: () => number;
  /** what the snapshot in force says of a key */
  readonly recordOf: (keyId: string) => KeyRecord | undefined;
  readonly metrics: Metrics;
  /** of keys that the snapshot does not know; only tests want less */
  readonly mostUnknown?: number;
}

/** So long after it was last told a superseded one is kept: somebody may still be about to tell of an older state. */
const supersededMs = 30_000;
/** A key that the snapshot does not know may be in a shard that is on its way. */
const unknownMs = 600_000;
const defaultMostUnknown = 20_000;
/** Objects that had the same name one after the other within that time. */
const mostOfOneKey = 8;

/**
 * Held in memory, so that neither an emptied Redis nor a stale snapshot brings a key back. Bounded: by the keys of the snapshot, and of unknown keys the latest 20,000.
 */
export function makeRevocations({ now, recordOf, metrics, mostUnknown = defaultMostUnknown }: RevocationsOptions): Revocations {
  const held = new Map<string, readonly Held[]>();
  /** keys that the snapshot did not have when they were told of, the latest last */
  const unknown = new Set<string>();
  const listeners = new Set<(keyId: string) => void>();
  metrics.gauge({
    name: 'revocations_held',
    help: 'Keys of which this proxy holds a revocation beside the snapshot.',
    collect: (gauge) => gauge.set(held.size),
  });

  function noteUnknown(keyId: string): void {
    unknown.delete(keyId);
    if (recordOf(keyId) !== undefined) return;
    unknown.add(keyId);
    const [oldest] = unknown;
    if (unknown.size > mostUnknown && oldest !== undefined) drop(oldest);
  }

  function drop(keyId: string): void {
    unknown.delete(keyId);
    // it may have become known since
    if (recordOf(keyId) === undefined) held.delete(keyId);
  }

  return {
    take(revocation) {
      const { keyId, uid } = revocation;
      const before = held.get(keyId) ?? [];
      const known = before.find((each) => each.revocation.uid === uid);
      const next = known === undefined ? revocation : mergeRevocations(known.revocation, revocation);
      const rest = before.filter((each) => each !== known);
      held.set(keyId, [...withoutOldest(rest, recordOf(keyId)), { revocation: next, seenMs: now() }]);
      noteUnknown(keyId);
      for (const listener of listeners) listener(keyId);
    },
    overruling(record, credentialId) {
      if (held.size === 0) return undefined;
      const entries = held.get(record.id);
      return entries === undefined ? undefined : strictest(entries, record, credentialId);
    },
    forget() {
      const nowMs = now();
      for (const [keyId, entries] of held) {
        const record = recordOf(keyId);
        const keepMs = record === undefined ? unknownMs : supersededMs;
        const left = entries.filter(({ revocation, seenMs }) => nowMs - seenMs < keepMs || !isSuperseded(revocation, record));
        if (left.length === entries.length) continue;
        if (left.length > 0) held.set(keyId, left);
        else {
          held.delete(keyId);
          unknown.delete(keyId);
        }
      }
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    get size() {
      return held.size;
    },
  };
}

/** What a client is told. Who was deleted or rotated out is not known any more, as the snapshot will say. */
export function toOverruledRefusal(why: Overruling): Refusal {
  if (why === 'Revoked') return { code: 'key_revoked', message: 'This key has been revoked.' };
  if (why === 'Suspended') return { code: 'key_suspended', message: 'This key is suspended.' };
  return { code: 'invalid_api_key', message: 'The API key is not valid.' };
}

/** Whether running streams end by it: a suspension lets them finish. */
export function endsStreams(why: Overruling | undefined): boolean {
  return why !== undefined && why !== 'Suspended';
}

function strictest(entries: readonly Held[], record: Pick<KeyRecord, 'uid' | 'gen'>, credentialId: string): Overruling | undefined {
  let found: Overruling | undefined;
  for (const { revocation } of entries) {
    const why = overruling(revocation, record, credentialId);
    if (why !== undefined && (isFinal(revocation.state) || found === undefined)) found = why;
  }
  return found;
}

/** Of the name's earlier objects the longest known ones go first. */
function withoutOldest(entries: readonly Held[], record: KeyRecord | undefined): readonly Held[] {
  if (entries.length < mostOfOneKey) return entries;
  const superfluous = entries.find(({ revocation }) => isSuperseded(revocation, record)) ?? entries[0];
  return entries.filter((each) => each !== superfluous);
}
