import { emptyKeyUsage, type KeyUsage } from '../../core/key-usage.ts';
import { mergeUsageCheckpoints, type UsageCheckpoint, usageSchema } from '../../core/usage-checkpoint.ts';
import { compareStreamIds, firstStreamId } from '../../core/usage-stream.ts';

/** The keys of one usage Secret as they are known here, ahead of what was written. */
export class UsageBucket {
  readonly index: number;
  readonly #buckets: number;
  #keys = new Map<string, KeyUsage>();
  /** tag → the last entry that is counted in here */
  #through = new Map<string, string>();
  /** tag → the first entry that is counted in here and in no checkpoint */
  #unwritten = new Map<string, string>();
  /** of a write that is under way */
  #covered: ReadonlyMap<string, string> = new Map();
  /** entries that are counted in here and in no checkpoint; of these in the write under way */
  #uncoveredCount = 0;
  #coveredCount = 0;
  #changed = false;

  constructor(index: number, buckets: number) {
    this.index = index;
    this.#buckets = buckets;
  }

  get(keyId: string): KeyUsage | undefined {
    return this.#keys.get(keyId);
  }

  keys(): Iterable<KeyUsage> {
    return this.#keys.values();
  }

  get size(): number {
    return this.#keys.size;
  }

  /** something is known that was not written */
  get changed(): boolean {
    return this.#changed;
  }

  isCounted(tag: string, id: string): boolean {
    return compareStreamIds(id, this.#through.get(tag) ?? firstStreamId) <= 0;
  }

  /** An entry of a key of this bucket; it must come after all that are counted. */
  count(keyId: string, { tag, id, change }: { tag: string; id: string; change: (known: KeyUsage) => KeyUsage }): void {
    this.change(keyId, change);
    this.#through.set(tag, id);
    this.#uncoveredCount += 1;
    if (!this.#unwritten.has(tag)) this.#unwritten.set(tag, id);
  }

  /** @returns whether that made a difference */
  change(keyId: string, change: (known: KeyUsage) => KeyUsage): boolean {
    const known = this.#keys.get(keyId) ?? emptyKeyUsage(keyId);
    const next = change(known);
    if (next === known) return false;
    this.#keys.set(keyId, next);
    this.#changed = true;
    return true;
  }

  forget(keyId: string): void {
    if (this.#keys.delete(keyId)) this.#changed = true;
  }

  /** tag → the first entry that no checkpoint has */
  *uncovered(): Iterable<readonly [tag: string, id: string]> {
    yield* this.#unwritten;
    yield* this.#covered;
  }

  get uncoveredCount(): number {
    return this.#uncoveredCount;
  }

  /** What was stored before we knew anything, or by somebody else since. Gives both together. */
  adopt(theirs: UsageCheckpoint): UsageCheckpoint {
    const merged = mergeUsageCheckpoints(this.#toCheckpoint(0), theirs);
    this.#keys = new Map(merged.keys.map((usage) => [usage.id, usage]));
    this.#through = new Map(Object.entries(merged.through));
    return merged;
  }

  /** Ids of that tag begin anew: the Stream of before is lost. */
  restart(tag: string): void {
    if (!this.#through.delete(tag)) return;
    this.#unwritten.delete(tag);
    this.#changed = true;
  }

  /** What is to be written now; one at a time. */
  begin(nowMs: number): UsageCheckpoint {
    this.#covered = this.#unwritten;
    this.#coveredCount = this.#uncoveredCount;
    this.#unwritten = new Map();
    this.#changed = false;
    return this.#toCheckpoint(nowMs);
  }

  end(isWritten: boolean): void {
    if (isWritten) this.#uncoveredCount -= this.#coveredCount;
    else {
      this.#unwritten = new Map([...this.#unwritten, ...this.#covered]);
      this.#changed = true;
    }
    this.#covered = new Map();
  }

  #toCheckpoint(writtenAt: number): UsageCheckpoint {
    return {
      kind: 'usage',
      schema: usageSchema,
      minReader: usageSchema,
      bucket: this.index,
      buckets: this.#buckets,
      writtenAt,
      through: Object.fromEntries(this.#through),
      keys: [...this.#keys.values()],
    };
  }
}
