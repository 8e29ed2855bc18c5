import type { KeyRecord } from '../../core/snapshot.ts';
import type { SecretObject } from '../cluster/cluster.ts';
import { parseSnapshotSecret } from '../snapshot/snapshot-documents.ts';

/** What a proxy knows: the newest shards, but of each key never an older state than it has seen. */
export class ProxyView {
  readonly keys = new Map<string, KeyRecord>();
  /** since when a hash is published without a break */
  readonly since = new Map<string, number>();
  readonly firstSeen = new Map<string, number>();
  readonly #shards = new Map<string, readonly KeyRecord[]>();

  take(name: string, secret: SecretObject | undefined, nowMs: number): void {
    const document = secret === undefined ? undefined : parseSnapshotSecret(secret);
    this.#shards.set(name, document?.kind === 'keys' ? document.records : []);
    const records = new Map([...this.#shards.values()].flat().map((record) => [record.id, record]));
    for (const id of this.keys.keys()) if (!records.has(id)) this.keys.delete(id);
    for (const [id, record] of records) if ((this.keys.get(id)?.gen ?? 0) <= record.gen) this.keys.set(id, record);
    this.#time(nowMs);
  }

  credentials(): KeyRecord['credentials'] {
    return [...this.keys.values()].flatMap(({ credentials }) => credentials);
  }

  /** Hashes that are let in at that time. */
  accepted(nowMs: number): Set<string> {
    const active = [...this.keys.values()].filter(({ state }) => state === 'Active');
    const valid = active.flatMap(({ credentials }) => credentials.filter(({ notAfter = Infinity }) => notAfter > nowMs));
    return new Set(valid.map(({ hash }) => hash));
  }

  /** Whether the key `team/a` has this credential, whatever becomes of the key as a whole. */
  publishes(hash: string, nowMs: number): boolean {
    const credential = this.keys.get('team/a')?.credentials.find((known) => known.hash === hash);
    return credential !== undefined && (credential.notAfter ?? Infinity) > nowMs;
  }

  #time(nowMs: number): void {
    const published = new Set(this.credentials().map(({ hash }) => hash));
    for (const hash of this.since.keys()) if (!published.has(hash)) this.since.delete(hash);
    for (const hash of published) {
      this.since.set(hash, this.since.get(hash) ?? nowMs);
      this.firstSeen.set(hash, this.firstSeen.get(hash) ?? nowMs);
    }
  }
}
