import { revocationsSecretName } from '../../core/revocations-document.ts';
import type { SnapshotDocument } from '../../core/snapshot-parse.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { Log } from '../../runtime/log.ts';
import type { Slices } from './slices.ts';
import type { DocumentReader } from './snapshot-document.ts';

/** Why a document is not in force. */
export interface RefusedDocument {
  /** locked: another seal key would open it */
  readonly reason: 'invalid' | 'newer' | 'locked';
  readonly message: string;
}

export interface SnapshotInboxOptions {
  readonly log: Log;
  readonly slices: Slices;
  readonly read: DocumentReader;
  /** takes a good document into force, or says what is wrong with it as things stand */
  readonly take: (name: string, document: SnapshotDocument) => Promise<RefusedDocument | undefined>;
  /** its Secret is gone; false: what it held is still needed, and it will be asked again */
  readonly forget: (name: string) => boolean;
}

/**
 * The documents as they come. Invariants: of each only the newest is read; they are taken one after another, so that nothing changes beneath a long piece of work; one that is
 * refused, or that another seal key would open, takes nothing away.
 */
export class SnapshotInbox {
  readonly #options: SnapshotInboxOptions;
  /** newest bytes of each document that wait to be read */
  readonly #pending = new Map<string, Uint8Array>();
  /** digest of the bytes last read of each document, good or bad */
  readonly #digests = new Map<string, string>();
  readonly #refused = new Map<string, RefusedDocument>();
  /** documents that another seal key would open */
  readonly #locked = new Map<string, Uint8Array>();
  readonly #removed = new Set<string>();
  #working: Promise<void> | undefined;

  constructor(options: SnapshotInboxOptions) {
    this.#options = options;
  }

  get refused(): ReadonlyMap<string, RefusedDocument> {
    return this.#refused;
  }

  get lockedCount(): number {
    return this.#locked.size;
  }

  document(name: string, bytes: Uint8Array): void {
    this.#removed.delete(name);
    // an older one that still waits need not be read any more
    this.#pending.set(name, bytes);
    this.#work();
  }

  removed(name: string): void {
    this.#removed.add(name);
    this.#work();
  }

  /** The seal keys have changed: what was locked is tried again, unless something newer has come. */
  unlock(): void {
    for (const [name, bytes] of this.#locked) if (!this.#pending.has(name)) this.#pending.set(name, bytes);
    this.#locked.clear();
    this.#work();
  }

  /** Resolves when everything that came so far is taken or refused. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  #work(): void {
    this.#working ??= this.#drain().finally(() => {
      this.#working = undefined;
      if (this.#pending.size > 0) this.#work();
    });
  }

  async #drain(): Promise<void> {
    const { slices, log } = this.#options;
    // what comes in one burst is told in one go before any of it is read
    await slices.next();
    for (let name = nextName(this.#pending); name !== undefined; name = nextName(this.#pending)) {
      const bytes = this.#pending.get(name) ?? new Uint8Array();
      this.#pending.delete(name);
      try {
        await this.#take(name, bytes);
      } catch (error) {
        log.error({ event: 'snapshot_document_failed', document: name, err: error }, 'a snapshot document could not be taken');
      }
      if (slices.due) await slices.next();
    }
    this.#forgetRemoved();
  }

  async #take(name: string, bytes: Uint8Array): Promise<void> {
    const digest = sha256Hex(bytes);
    if (this.#digests.get(name) === digest) return;
    const read = await this.#options.read(name, bytes);
    this.#locked.delete(name);
    if (!read.ok && read.reason === 'locked') {
      this.#locked.set(name, bytes);
      return this.#refuse(name, read);
    }
    this.#digests.set(name, digest);
    if (!read.ok) return this.#refuse(name, read);
    const refused = await this.#options.take(name, read.document);
    if (refused !== undefined) return this.#refuse(name, refused);
    this.#refused.delete(name);
  }

  #refuse(name: string, { reason, message }: RefusedDocument): void {
    this.#refused.set(name, { reason, message });
    this.#options.log.error(
      { event: 'snapshot_document_refused', document: name, reason, message },
      'a snapshot document is refused; the last good one stays in force',
    );
  }

  /** A refused document that is gone is no trouble any more. */
  #forgetRemoved(): void {
    for (const name of this.#removed) {
      this.#refused.delete(name);
      this.#locked.delete(name);
      if (!this.#options.forget(name)) continue;
      this.#removed.delete(name);
      this.#digests.delete(name);
    }
  }
}

/** Which document is read next. Revocations before everything else: a proxy that starts must know them when the shards make it ready. */
function nextName(pending: ReadonlyMap<string, unknown>): string | undefined {
  if (pending.has(revocationsSecretName)) return revocationsSecretName;
  const [first] = pending.keys();
  return first;
}
