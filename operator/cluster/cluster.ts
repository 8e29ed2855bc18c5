/**
 * What the operator needs of Kubernetes, and nothing else. Implementations: `kubernetes/` (a real API server) and
 * `memory.ts` (tests and standalone). Both pass `contract.ts`.
 */

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  /** an object with others' finalizers stays, with a deletionTimestamp, until they are gone */
  readonly finalizers?: readonly string[];
}

export interface ClusterObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

/** A Secret as the API has it: values in base64. */
export interface SecretObject extends ClusterObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

export type Kind = 'VirtualKey' | 'Channel' | 'Secret' | 'Namespace' | 'Lease' | 'CustomResourceDefinition';

export interface Reference {
  readonly kind: Kind;
  readonly namespace?: string;
  readonly name: string;
}

export type ReflectedEvent<T extends ClusterObject> =
  | { readonly type: 'Applied'; readonly object: T }
  /** `seen`: a watch DELETED told it; otherwise it was only missing from a new list, and of the object only its identity and last version are told */
  | { readonly type: 'Deleted'; readonly object: T; readonly seen: boolean }
  /** the first full list has been delivered */
  | { readonly type: 'Synced' };

export interface ReflectOptions<T extends ClusterObject> {
  readonly kind: Kind;
  /** absent = all namespaces */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** only metadata is asked for and kept (Secrets of tenants) */
  readonly metadataOnly?: boolean;
  readonly onEvent: (event: ReflectedEvent<T>) => void;
}

/** A write's answer: what steers the caller is a value; only trouble of the infrastructure is thrown (ClusterError). */
export type WriteOutcome<T> =
  | { readonly outcome: 'written'; readonly object: T }
  /** create: the name is taken */
  | { readonly outcome: 'exists' }
  /** replace or patch: somebody else wrote in between */
  | { readonly outcome: 'conflict' }
  | { readonly outcome: 'gone' };

export interface ClusterEvent {
  readonly regarding: ClusterObject;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export interface Reflector {
  /** an object that a list lacked and that is there all the same: its end will be told as that of any other */
  keep(object: ClusterObject): void;
  stop(): Promise<void>;
}

/** Trouble between us and the cluster. The message never holds bodies or headers. */
export class ClusterError extends Error {
  readonly reason: 'Forbidden' | 'Unauthorized' | 'Invalid' | 'Throttled' | 'Unavailable';
  readonly retryAfterMs: number | undefined;

  constructor(reason: ClusterError['reason'], message: string, retryAfterMs?: number) {
    super(message);
    this.name = 'ClusterError';
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface Cluster {
  /**
   * LIST + WATCH until stopped; survives every fault by itself. A handler that throws is logged and harms nothing else.
   * Objects that come from here lack what nobody here reads (`managedFields`' field sets, kubectl's last-applied annotation).
   */
  reflect<T extends ClusterObject>(options: ReflectOptions<T>): Reflector;
  get<T extends ClusterObject>(reference: Reference): Promise<T | undefined>;
  list<T extends ClusterObject>(options: Omit<ReflectOptions<T>, 'onEvent'>): Promise<T[]>;
  /** As `list`, but told one by one, page by page: for what is too much to be held at once. */
  listEach<T extends ClusterObject>(options: Omit<ReflectOptions<T>, 'onEvent'>, take: (object: T) => void): Promise<void>;
  create<T extends ClusterObject>(object: T): Promise<WriteOutcome<T>>;
  /** PUT; `metadata.resourceVersion` is required */
  replace<T extends ClusterObject>(object: T): Promise<WriteOutcome<T>>;
  /**
   * Merge patch of /status with `metadata.resourceVersion`. `object` is the whole object as read: the patch is the difference between its
   * status and the new one, so that afterwards the status is `status`, and fields that are not in it any more are gone. No difference: no request.
   */
  patchStatus<T extends ClusterObject>(object: T, status: unknown): Promise<WriteOutcome<T>>;
  /** only for objects of our own namespaces. With a resourceVersion: only if it still has that one; otherwise nothing happens */
  remove(reference: Reference, precondition?: { readonly resourceVersion: string }): Promise<void>;
  /** aggregated and best effort; never throws */
  recordEvent(event: ClusterEvent): void;
  close(): Promise<void>;
}
