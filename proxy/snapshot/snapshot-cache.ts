import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { epochOf } from '../../core/snapshot-layout.ts';
import { snapshotIndexName } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { Log } from '../../runtime/log.ts';
import { type DocumentReader, readSnapshotDocument } from './snapshot-document.ts';
import type { SnapshotSink, SnapshotSource } from './snapshot-source.ts';

const digestLength = 64;
const fileEnding = '.document';
/** Kubernetes' names (RFC 1123 subdomains): nothing that leads out of a directory. */
const namePattern = /^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?$/;

/**
 * The same source, with a copy of its good documents in `directory` (meant to be a memory-backed volume that outlives the container: it holds provider credentials). What is
 * there is told first, so that a restarted proxy is ready while the API server is away. Trouble with the directory is logged and costs the copy only. What comes sealed is kept
 * sealed; `read` tells which documents are good.
 */
export function withSnapshotCache(
  source: SnapshotSource,
  directory: string,
  log: Log,
  read: DocumentReader = readSnapshotDocument,
): SnapshotSource {
  // a volume's own root belongs to the cluster and cannot be closed to others; a directory in it can
  const cache = new SnapshotCache(join(directory, 'snapshot'), log, read);
  return {
    start(sink) {
      const stored = cache.load();
      for (const [name, bytes] of stored) sink.document(name, bytes);
      source.start(makeRecordingSink(sink, cache, new Set(stored.keys())));
    },
    async stop() {
      await source.stop();
      await cache.settled();
    },
  };
}

function makeRecordingSink(sink: SnapshotSink, cache: SnapshotCache, unseen: Set<string>): SnapshotSink {
  return {
    document(name, bytes) {
      unseen.delete(name);
      sink.document(name, bytes);
      cache.keep(name, bytes);
    },
    removed(name) {
      sink.removed(name);
      cache.forget(name);
    },
    synced() {
      // removed while this container was down: no event will ever tell
      for (const name of unseen) this.removed(name);
      unseen.clear();
      sink.synced();
    },
    connected: (value) => sink.connected(value),
  };
}

/**
 * Files `<name>.document`: the hex SHA-256 of the rest, then the document as it came. Invariant: a file holds a document that the parser took, and a removed Secret takes no
 * file of the epoch in force with it, because it takes no key of it from a running proxy either.
 */
class SnapshotCache {
  readonly #directory: string;
  readonly #log: Log;
  readonly #readDocument: DocumentReader;
  /** newest wish for each name: bytes to write, or undefined to remove */
  readonly #pending = new Map<string, Uint8Array | undefined>();
  #usable = false;
  #epoch: number | undefined;
  #working: Promise<void> | undefined;

  constructor(directory: string, log: Log, read: DocumentReader) {
    this.#directory = directory;
    this.#log = log;
    this.#readDocument = read;
  }

  /** Whole files of a directory that nobody else can write to: who could plant a document could plant a key. */
  load(): ReadonlyMap<string, Uint8Array> {
    const stored = new Map<string, Uint8Array>();
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      const { uid } = lstatSync(this.#directory);
      if (!lstatSync(this.#directory).isDirectory() || (process.getuid !== undefined && uid !== process.getuid())) {
        this.#log.error(
          { event: 'snapshot_cache_unusable', directory: this.#directory },
          'the snapshot cache belongs to somebody else and is not used',
        );
        return stored;
      }
      const wasOpen = (lstatSync(this.#directory).mode & 0o077) !== 0;
      chmodSync(this.#directory, 0o700);
      this.#usable = true;
      for (const file of readdirSync(this.#directory)) {
        const document = wasOpen ? undefined : this.#read(file);
        if (document === undefined) rmSync(join(this.#directory, file), { recursive: true, force: true });
        else stored.set(document.name, document.bytes);
      }
    } catch (error) {
      this.#log.error({ event: 'snapshot_cache_unusable', directory: this.#directory, err: error }, 'the snapshot cache cannot be used');
    }
    return stored;
  }

  keep(name: string, bytes: Uint8Array): void {
    this.#want(name, bytes);
  }

  forget(name: string): void {
    this.#want(name, undefined);
  }

  async settled(): Promise<void> {
    await this.#working;
  }

  #want(name: string, bytes: Uint8Array | undefined): void {
    if (!this.#usable || !namePattern.test(name)) return;
    this.#pending.delete(name);
    this.#pending.set(name, bytes);
    this.#working ??= this.#drain().finally(() => {
      this.#working = undefined;
    });
  }

  /** One file after another and behind the requests: a copy is in no hurry. */
  async #drain(): Promise<void> {
    for (let first = this.#pending.entries().next(); !first.done; first = this.#pending.entries().next()) {
      await setImmediate();
      const [name, bytes] = first.value;
      this.#pending.delete(name);
      try {
        await (bytes === undefined ? this.#remove(name) : this.#write(name, bytes));
      } catch (error) {
        this.#log.warn({ event: 'snapshot_cache_failed', document: name, err: error }, 'a snapshot document could not be kept');
      }
    }
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    const read = await this.#readDocument(name, bytes);
    // the last good one stays
    if (!read.ok) return;
    if (read.document.kind === 'index') this.#epoch = read.document.epoch;
    const file = join(this.#directory, `${name}${fileEnding}`);
    await writeFile(`${file}.new`, Buffer.concat([Buffer.from(sha256Hex(bytes)), bytes]), { mode: 0o600 });
    await rename(`${file}.new`, file);
  }

  async #remove(name: string): Promise<void> {
    if (name === snapshotIndexName || this.#epoch === undefined || epochOf(name) === this.#epoch) return;
    await rm(join(this.#directory, `${name}${fileEnding}`), { force: true });
  }

  #read(file: string): { name: string; bytes: Uint8Array } | undefined {
    const name = file.slice(0, -fileEnding.length);
    // a left-over of a write that was cut off
    if (!file.endsWith(fileEnding) || !namePattern.test(name)) return undefined;
    const content = readFileSync(join(this.#directory, file));
    const bytes = content.subarray(digestLength);
    if (sha256Hex(bytes) === content.toString('latin1', 0, digestLength)) return { name, bytes };
    this.#log.warn({ event: 'snapshot_cache_corrupt', file }, 'a corrupt file of the snapshot cache is ignored');
    return undefined;
  }
}
