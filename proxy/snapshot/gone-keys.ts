import type { KeyRecord } from '../../core/snapshot.ts';

/** More than are deleted while an old document can still come. */
const mostRemembered = 10_000;

/** Keys that have left the snapshot. One may come back, but not with an older revocation counter than it had. */
export class GoneKeys {
  readonly #gone = new Map<string, Pick<KeyRecord, 'uid' | 'gen'>>();

  /** The one that went first makes room. */
  note({ id, uid, gen }: KeyRecord): void {
    this.#gone.set(id, { uid, gen });
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > mostRemembered && oldest !== undefined) this.#gone.delete(oldest);
  }

  /** Whether it is an older state of the same object than `inForce`, or, when nothing is in force of it, than the one that was last. */
  isOlder(record: KeyRecord, inForce: KeyRecord | undefined): boolean {
    const seen = inForce ?? this.#gone.get(record.id);
    return seen !== undefined && seen.uid === record.uid && record.gen < seen.gen;
  }
}
