import type { Cluster, ClusterObject, Reference } from '../operator/cluster/cluster.ts';
import type { Log } from '../runtime/log.ts';
import type { Admission } from './manifests/admission.ts';

/** What a read of the manifests folder gave. */
export interface ManifestFolder {
  readonly objects: readonly ClusterObject[];
  readonly mistakes: readonly string[];
  /** false: something of the folder was never readable, so that an object of an earlier run which is missing may only be unreadable */
  readonly complete?: boolean;
  /** true if a text that could not be read holds this name */
  mentions?(name: string): boolean;
}

/** The part of the memory cluster that stands for `kubectl apply` and `kubectl delete`. */
export interface ManifestTarget extends Pick<Cluster, 'get'> {
  apply(object: ClusterObject): Promise<unknown>;
  delete(reference: Reference): Promise<unknown>;
}

export interface ManifestSyncOptions {
  readonly target: ManifestTarget;
  readonly admission: Admission;
  readonly log: Log;
  /** namespaces of our own, which manifests may not write to */
  readonly ownNamespaces: readonly string[];
}

/**
 * Makes the cluster equal to the folder, as a GitOps tool would: what passes the same admission as in a cluster is applied, what is rejected keeps its last accepted
 * form, what has vanished is deleted.
 */
export class ManifestSync {
  readonly #options: ManifestSyncOptions;
  readonly #known = new Map<string, Reference>();
  /** names of what this run has read from the folder */
  readonly #seen = new Set<string>();

  /** `before`: objects that an earlier run had accepted; those that are no longer in the folder are deleted by the first `apply` */
  constructor(options: ManifestSyncOptions, before: readonly ClusterObject[]) {
    this.#options = options;
    for (const object of before) {
      if (object.kind === 'VirtualKey' || object.kind === 'Channel') this.#known.set(toName(object), toReference(object));
    }
  }

  /** Rejects when something could not be written, after all else has been; the same folder may then be applied again. */
  async apply(folder: ManifestFolder): Promise<void> {
    const { log, target } = this.#options;
    for (const mistake of folder.mistakes) log.warn({ event: 'manifest_rejected', mistake }, 'a manifest was not read');
    const present = new Set<string>();
    const failed: string[] = [];
    // what cannot be written (a full disk) must not keep the others from being taken over, least of all a deletion
    const attempt = async (name: string, change: () => Promise<unknown>): Promise<void> => {
      try {
        await change();
      } catch (error) {
        failed.push(name);
        log.error({ event: 'manifest_failed', object: name, err: error }, 'an object could not be taken over; it is tried again');
      }
    };
    for (const object of folder.objects.map(withNamespace)) {
      present.add(toName(object));
      await attempt(toName(object), () => this.#applyOne(object));
    }
    const gone = [...this.#known].filter(([name, reference]) => !present.has(name) && this.#isGone(name, reference, folder));
    for (const name of present) this.#seen.add(name);
    for (const [name, reference] of gone) {
      await attempt(name, async () => {
        await target.delete(reference);
        this.#known.delete(name);
        this.#seen.delete(name);
        log.info({ event: 'manifest_removed', object: name }, 'an object is gone from the manifests');
      });
    }
    if (failed.length > 0) throw new Error(`could not take over ${failed.join(', ')}`);
  }

  /**
   * A restart beside a broken file must not delete the keys that the file holds: where an object of an earlier run stood is not known. One that was seen in this run stood in
   * a file that has been read again or is gone, and a broken file elsewhere must not keep it alive, unless it has moved there.
   */
  #isGone(name: string, reference: Reference, { complete = true, mentions }: ManifestFolder): boolean {
    return this.#seen.has(name) && mentions !== undefined ? !mentions(reference.name) : complete;
  }

  async #applyOne(object: ClusterObject): Promise<void> {
    const { admission, log, target } = this.#options;
    const name = toName(object);
    // a folder may hold more than is ours (a ConfigMap, a Deployment), which admission refuses by its kind
    const accepted = manifestKinds.has(object.kind) ? await target.get(toReference(object)) : undefined;
    const refused = this.#refuseForeign(object, accepted);
    const checked = refused === undefined ? admission.check(object, accepted) : { ok: false as const, errors: [refused] };
    if (!checked.ok) {
      log.warn(
        { event: 'manifest_rejected', object: name, errors: checked.errors, keeps_last: accepted !== undefined },
        'an object was rejected',
      );
      return;
    }
    this.#known.set(name, toReference(object));
    await this.#makeNamespace(object.metadata.namespace ?? '');
    await target.apply(checked.object);
  }

  #refuseForeign(object: ClusterObject, accepted: ClusterObject | undefined): string | undefined {
    const namespace = object.metadata.namespace ?? '';
    if (this.#options.ownNamespaces.includes(namespace)) return `namespace ${namespace} is reserved for Keywright's own records`;
    if (object.kind === 'Secret' && accepted?.metadata.labels?.['keywright.dev/key'] !== undefined) {
      return 'the name is taken by the Secret that delivers a virtual key';
    }
    return undefined;
  }

  /** A cluster has its namespaces before their objects; their name label is what `allowedNamespaces` selectors can match here. */
  async #makeNamespace(name: string): Promise<void> {
    if ((await this.#options.target.get({ kind: 'Namespace', name })) !== undefined) return;
    await this.#options.target.apply({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'kubernetes.io/metadata.name': name } },
    });
  }
}

const manifestKinds: ReadonlySet<string> = new Set<Reference['kind']>(['VirtualKey', 'Channel', 'Secret']);

/** A namespace that is written but empty (null) is none, as for the API server. */
function withNamespace(object: ClusterObject): ClusterObject {
  return (object.metadata.namespace ?? undefined) === undefined
    ? { ...object, metadata: { ...object.metadata, namespace: 'default' } }
    : object;
}

function toReference(object: ClusterObject): Reference {
  const { name, namespace } = object.metadata;
  return { kind: object.kind as Reference['kind'], name, ...(namespace === undefined ? {} : { namespace }) };
}

function toName(object: ClusterObject): string {
  return `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}
