/** Where snapshot documents come from: an API server's watch, the restart cache, or the operator in the same process. */
export interface SnapshotSource {
  /** once; from then on it survives every fault by itself until `stop` */
  start(sink: SnapshotSink): void;
  stop(): Promise<void>;
}

/** Who takes them. No call may throw or wait. */
export interface SnapshotSink {
  /** a new or changed document: the gzipped JSON of the Secret `name` */
  document(name: string, bytes: Uint8Array): void;
  /** the Secret is gone; that alone takes no key away (docs/decisions/0003-snapshot-format.md) */
  removed(name: string): void;
  /** everything there is has been told once; called again after each further full list */
  synced(): void;
  /** whether changes arrive at the moment */
  connected(value: boolean): void;
}
