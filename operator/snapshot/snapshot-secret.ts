import type { Cluster, ObjectMeta, SecretObject } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';
import type { PublishMeters } from './publish-meters.ts';

export interface SnapshotSecretOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly meters: Pick<PublishMeters, 'writes'>;
  /** of the document in a Secret; `''`: none that can be read */
  readonly toRevision: (secret: SecretObject) => string;
}

export interface SecretContent {
  readonly secret: SecretObject;
  /** of the document in it */
  readonly revision: string;
}

const writeAttempts = 4;

/**
 * One Secret of the snapshot, or another one that holds a document of ours, as far as we know it: which version we have seen or written, what is in it, and whether somebody else was there since. What others have set on it
 * (labels, annotations) stays.
 */
export class SnapshotSecret {
  readonly name: string;
  readonly #options: SnapshotSecretOptions;
  /** absent = none yet */
  #known: { readonly metadata: ObjectMeta; readonly revision: string; readonly bytes: number } | undefined;
  /** the version that the watch has shown last, `''` once it was removed; another one than ours: somebody else was there */
  #observed: string | undefined;

  constructor(options: SnapshotSecretOptions, name: string) {
    this.#options = options;
    this.name = name;
  }

  get exists(): boolean {
    return this.#known !== undefined;
  }

  /** of what is in it; `''`: something that cannot be read; undefined: there is no such Secret */
  get revision(): string | undefined {
    return this.#known?.revision;
  }

  /** as stored */
  get bytes(): number {
    return this.#known?.bytes ?? 0;
  }

  get metadata(): ObjectMeta | undefined {
    return this.#known?.metadata;
  }

  get isForeign(): boolean {
    return this.#observed !== undefined && this.#observed !== this.#known?.metadata.resourceVersion;
  }

  /** What a watch of metadata has shown; undefined: it is gone. */
  observe(metadata: ObjectMeta | undefined): void {
    this.#observed = metadata?.resourceVersion ?? '';
  }

  /** What was read; undefined: there is no such Secret. A document that cannot be read is there to be replaced. */
  adopt(secret: SecretObject | undefined): void {
    if (secret === undefined) this.#known = undefined;
    else this.#keep(secret, this.#options.toRevision(secret));
  }

  async reread(): Promise<SecretObject | undefined> {
    const { cluster, namespace } = this.#options;
    const secret = await cluster.get<SecretObject>({ kind: 'Secret', namespace, name: this.name });
    this.adopt(secret);
    this.#observed = secret?.metadata.resourceVersion ?? '';
    return secret;
  }

  /**
   * Makes it hold this; a Secret that does is not written. Throws when it cannot be done now.
   *
   * @param onForeign what to write instead over something that somebody else has written since we knew it; default: the same
   */
  async write(content: SecretContent, onForeign: (found: SecretObject) => SecretContent = () => content): Promise<void> {
    const { meters } = this.#options;
    let { secret, revision } = this.isForeign ? await this.#lookAtForeign(content, onForeign) : content;
    for (let attempt = 0; attempt < writeAttempts; attempt += 1) {
      if (this.#known?.revision === revision) return;
      const outcome = await this.#send(secret);
      meters.writes.inc({ outcome: outcome.outcome });
      if (outcome.outcome === 'written') {
        this.#keep({ ...secret, metadata: outcome.object.metadata }, revision);
        return;
      }
      ({ secret, revision } = await this.#lookAtForeign({ secret, revision }, onForeign));
    }
    throw new ClusterError('Unavailable', `Secret ${this.name} is written by somebody else again and again`);
  }

  /** Takes an annotation away. @returns whether it was there and is gone now */
  async removeAnnotation(annotation: string): Promise<boolean> {
    const secret = await this.reread();
    const { [annotation]: taken, ...annotations } = secret?.metadata.annotations ?? {};
    if (secret === undefined || taken === undefined) return false;
    const outcome = await this.#options.cluster.replace({ ...secret, metadata: { ...secret.metadata, annotations } });
    if (outcome.outcome !== 'written') return false;
    this.adopt(outcome.object);
    this.#observed = outcome.object.metadata.resourceVersion;
    return true;
  }

  /** Somebody else was there. What cannot be read, and what is gone, has nothing to say. */
  async #lookAtForeign(content: SecretContent, onForeign: (found: SecretObject) => SecretContent): Promise<SecretContent> {
    const before = this.revision;
    const found = await this.reread();
    const hasNews = found !== undefined && this.revision !== '' && this.revision !== before && this.revision !== content.revision;
    return hasNews ? onForeign(found) : content;
  }

  #send(secret: SecretObject) {
    const { cluster } = this.#options;
    if (this.#known === undefined) return cluster.create(secret);
    const { resourceVersion, labels, annotations } = this.#known.metadata;
    const kept = { ...(labels === undefined ? {} : { labels }), ...(annotations === undefined ? {} : { annotations }) };
    return cluster.replace({
      ...secret,
      metadata: { ...secret.metadata, ...kept, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
    });
  }

  #keep({ metadata, data = {} }: SecretObject, revision: string): void {
    const base64 = Object.values(data).reduce((sum, value) => sum + value.length, 0);
    this.#known = { metadata, revision, bytes: Math.floor((base64 * 3) / 4) };
  }
}
