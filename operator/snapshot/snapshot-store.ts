import type { SnapshotDocument } from '../../core/snapshot-parse.ts';
import { snapshotIndexName, snapshotSecretType } from '../../core/snapshot.ts';
import type { Cluster, ObjectMeta, ReflectedEvent, SecretObject } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';
import type { PublishMeters } from './publish-meters.ts';
import { parseSnapshotSecret, revisionOf, toSnapshotSecret } from './snapshot-documents.ts';
import { SnapshotSecret } from './snapshot-secret.ts';

/** A document as it is stored. */
export interface Encoded {
  readonly secret: SecretObject;
  readonly revision: string;
  readonly bytes: number;
}

export interface SnapshotStoreOptions {
  readonly cluster: Cluster;
  /** of the snapshot */
  readonly namespace: string;
  readonly meters: PublishMeters;
  readonly largestSecretBytes: number;
}

/** All Secrets of the snapshot's namespace that hold a document, in whatever epoch. The only place of the operator that makes Secrets of documents and reads them back. */
export class SnapshotStore {
  readonly #options: SnapshotStoreOptions;
  readonly #secrets = new Map<string, SnapshotSecret>();

  constructor(options: SnapshotStoreOptions) {
    this.#options = options;
  }

  get largestSecretBytes(): number {
    return this.#options.largestSecretBytes;
  }

  /** Reads all that is there; of what cannot be read only the name is given. */
  async load(): Promise<ReadonlyMap<string, SnapshotDocument | undefined>> {
    const { cluster, namespace } = this.#options;
    const found = new Map<string, SnapshotDocument | undefined>();
    for (const secret of await cluster.list<SecretObject>({ kind: 'Secret', namespace, fieldSelector: `type=${snapshotSecretType}` })) {
      const { name } = secret.metadata;
      this.of(name).adopt(secret);
      found.set(name, parseSnapshotSecret(secret));
    }
    this.#measure();
    return found;
  }

  /** The Secret of that name, which may not be there yet. */
  of(name: string): SnapshotSecret {
    const known = this.#secrets.get(name);
    if (known !== undefined) return known;
    const made = new SnapshotSecret({ ...this.#options, toRevision }, name);
    this.#secrets.set(name, made);
    return made;
  }

  /** Names of all that are there. */
  names(): readonly string[] {
    return [...this.#secrets.values()].filter(({ exists }) => exists).map(({ name }) => name);
  }

  /** What a watch has shown; gives the name of the Secret if somebody else has changed it. */
  observe(event: ReflectedEvent<SecretObject>): SnapshotSecret | undefined {
    if (event.type === 'Synced') return undefined;
    const secret = this.of(event.object.metadata.name);
    secret.observe(event.type === 'Applied' ? event.object.metadata : undefined);
    return secret.isForeign ? secret : undefined;
  }

  encode(document: SnapshotDocument): Encoded {
    const secret = toSnapshotSecret(document, this.#options.namespace);
    const bytes = Math.floor(((secret.data?.['document'] ?? '').length * 3) / 4);
    return { secret, revision: revisionOf(document), bytes };
  }

  /** `onForeign`: what to write instead over a document that somebody else has written since we knew it; default: the same */
  async write(encoded: Encoded, onForeign?: (found: SnapshotDocument) => Encoded): Promise<void> {
    const toContent = (found: SecretObject): Encoded => {
      const document = parseSnapshotSecret(found);
      return document === undefined || onForeign === undefined ? encoded : this.#toFitting(onForeign(document));
    };
    await this.of(encoded.secret.metadata.name).write(this.#toFitting(encoded), toContent);
    this.#measure();
  }

  #toFitting(encoded: Encoded): Encoded {
    const { secret, bytes } = encoded;
    if (bytes <= this.largestSecretBytes) return encoded;
    throw new ClusterError(
      'Invalid',
      `Secret ${secret.metadata.name} would take ${bytes} bytes; a Secret can hold ${this.largestSecretBytes}`,
    );
  }

  /** The document in a Secret as it is now. */
  async read(name: string): Promise<SnapshotDocument | undefined> {
    const secret = await this.of(name).reread();
    return secret === undefined ? undefined : parseSnapshotSecret(secret);
  }

  async remove(name: string): Promise<void> {
    await this.#options.cluster.remove({ kind: 'Secret', namespace: this.#options.namespace, name });
    this.#secrets.delete(name);
    this.#measure();
  }

  /** The index as something that an Event can be about. */
  indexObject(): SecretObject {
    const metadata: ObjectMeta = { name: snapshotIndexName, namespace: this.#options.namespace, ...this.of(snapshotIndexName).metadata };
    return { apiVersion: 'v1', kind: 'Secret', metadata };
  }

  #measure(): void {
    let bytes = 0;
    for (const secret of this.#secrets.values()) bytes += secret.bytes;
    this.#options.meters.bytes.set(bytes);
  }
}

function toRevision(secret: SecretObject): string {
  const document = parseSnapshotSecret(secret);
  return document === undefined ? '' : revisionOf(document);
}
