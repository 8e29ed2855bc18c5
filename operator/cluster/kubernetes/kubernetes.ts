import type { Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import type { Registry } from 'prom-client';
import type { Cluster, ClusterEvent, ClusterObject, Kind, Reference, Reflector, ReflectOptions, WriteOutcome } from '../cluster.ts';
import { ClusterError } from '../cluster.ts';
import { kindOf } from '../kinds.ts';
import { toMergePatch } from '../merge-patch.ts';
import type { Answer } from './answer.ts';
import { fieldOf, parseStatus, toClusterError } from './answer.ts';
import type { ApiClient, ApiRequest } from './client.ts';
import { makeApiClient } from './client.ts';
import { makeConnectionSource } from './connection.ts';
import { parseObject, parseReflected, toSent } from './decode.ts';
import type { EventRecorder } from './events.ts';
import { makeEventRecorder } from './events.ts';
import { toCollectionPath, toPath, toSelectors, toSubject } from './paths.ts';
import type { Page, ReflectorSource } from './reflector.ts';
import { startReflector } from './reflector.ts';
import type { WatchMetrics } from './watch-metrics.ts';
import { makeWatchMetrics } from './watch-metrics.ts';

export interface KubernetesClusterOptions {
  /** absent: the pod's service account, else KUBECONFIG or ~/.kube/config */
  readonly kubeconfigPath?: string;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
  readonly clock: Clock;
  readonly random: () => number;
  /** asked again before a write is really sent, and sent once more: it may have waited for its turn, or for a throttling server, longer than we lead */
  readonly mayWrite?: () => boolean;
}

const pageSize = 500;

/** A real API server. Nothing is sent before the first use. */
export function makeKubernetesCluster(options: KubernetesClusterOptions): Cluster {
  return new KubernetesCluster(options);
}

class KubernetesCluster implements Cluster {
  readonly #options: KubernetesClusterOptions;
  readonly #client: ApiClient;
  readonly #recorder: EventRecorder;
  readonly #watchMetrics: WatchMetrics;
  readonly #reflectors = new Set<Reflector>();

  constructor(options: KubernetesClusterOptions) {
    const { kubeconfigPath, log, metrics, clock, random, mayWrite = () => true } = options;
    this.#options = options;
    const connections = makeConnectionSource({ now: () => clock.now(), ...(kubeconfigPath === undefined ? {} : { kubeconfigPath }) });
    this.#client = makeApiClient({ connections, metrics, log, clock, random, mayWrite });
    this.#recorder = makeEventRecorder({ client: this.#client, clock, random, metrics });
    this.#watchMetrics = makeWatchMetrics(metrics.registry);
  }

  reflect<T extends ClusterObject>(reflect: ReflectOptions<T>): Reflector {
    const { clock, random, log } = this.#options;
    const source: ReflectorSource<T> = {
      version: async (signal) => (await this.#listPage(reflect, { next: undefined, signal, limit: 1 }, parseReflected<T>)).resourceVersion,
      list: (next, signal) => this.#listPage(reflect, { next, signal }, parseReflected<T>),
      watch: ({ resourceVersion, timeoutSeconds, signal }) => this.#watch(reflect, { resourceVersion, timeoutSeconds, signal }),
    };
    const reflector = startReflector({ source, reflect, clock, random, log, metrics: this.#watchMetrics });
    this.#reflectors.add(reflector);
    return {
      keep: (object) => reflector.keep(object),
      stop: async () => {
        await reflector.stop();
        this.#reflectors.delete(reflector);
      },
    };
  }

  async get<T extends ClusterObject>(reference: Reference): Promise<T | undefined> {
    const request = this.#request('get', reference, toPath(reference));
    const answer = await this.#client.call(request);
    if (isAbsent(answer, reference)) return undefined;
    return toObject<T>(answer, request, reference.kind);
  }

  async list<T extends ClusterObject>(selection: Omit<ReflectOptions<T>, 'onEvent'>): Promise<T[]> {
    const objects: T[] = [];
    await this.listEach<T>(selection, (object) => void objects.push(object));
    return objects;
  }

  async listEach<T extends ClusterObject>(selection: Omit<ReflectOptions<T>, 'onEvent'>, take: (object: T) => void): Promise<void> {
    let next: string | undefined;
    do {
      const page: Page<T> = await this.#listPage<T>(selection, { next }, parseObject<T>);
      for (const object of page.items) take(object);
      next = page.next;
    } while (next !== undefined);
  }

  async create<T extends ClusterObject>(object: T): Promise<WriteOutcome<T>> {
    const reference = toReference(object);
    const path = toCollectionPath(reference.kind, reference.namespace);
    const request = { ...this.#request('create', reference, path), body: toSent(object) };
    const answer = await this.#client.call(request);
    const { reason, causes } = parseStatus(answer.body);
    if (answer.code === 409 && reason === 'AlreadyExists') return { outcome: 'exists' };
    // Its namespace is not there, or on its way out.
    if (answer.code === 404 || (answer.code === 403 && causes.includes('NamespaceTerminating'))) return { outcome: 'gone' };
    return { outcome: 'written', object: toObject<T>(answer, request, reference.kind) };
  }

  async replace<T extends ClusterObject>(object: T): Promise<WriteOutcome<T>> {
    requireResourceVersion(object);
    const reference = toReference(object);
    const request = { ...this.#request('update', reference, toPath(reference)), body: toSent(object) };
    return toOutcome<T>(await this.#client.call(request), request, reference.kind);
  }

  async patchStatus<T extends ClusterObject>(object: T, status: unknown): Promise<WriteOutcome<T>> {
    requireResourceVersion(object);
    const patch = toMergePatch(fieldOf(object, 'status'), JSON.parse(JSON.stringify(status)));
    if (patch === undefined) return { outcome: 'written', object };
    const reference = toReference(object);
    const body = { metadata: { resourceVersion: object.metadata.resourceVersion }, status: patch };
    const request = { ...this.#request('patch', reference, `${toPath(reference)}/status`), body };
    return toOutcome<T>(await this.#client.call(request), request, reference.kind);
  }

  async remove(reference: Reference, precondition?: { readonly resourceVersion: string }): Promise<void> {
    const body = precondition === undefined ? {} : { body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: precondition } };
    const request = { ...this.#request('delete', reference, toPath(reference)), ...body };
    const answer = await this.#client.call(request);
    if (answer.code === 409 && precondition !== undefined) return;
    if (answer.code >= 300 && answer.code !== 404) throw toClusterError(answer, request.subject, request.confidential);
  }

  recordEvent(event: ClusterEvent): void {
    this.#recorder.record(event);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#reflectors].map((reflector) => reflector.stop()));
    this.#reflectors.clear();
    await this.#recorder.close();
    await this.#client.close();
  }

  async #listPage<T extends ClusterObject>(
    selection: Omit<ReflectOptions<T>, 'onEvent'>,
    { next, signal, limit = pageSize }: { next: string | undefined; signal?: AbortSignal; limit?: number },
    parse: (value: unknown, kind: Kind) => T | undefined,
  ): Promise<Page<T>> {
    const { kind, namespace } = selection;
    const request: ApiRequest = {
      ...this.#request('list', { kind, name: '*', ...(namespace === undefined ? {} : { namespace }) }, toCollectionPath(kind, namespace)),
      query: { ...toSelectors(selection), limit: String(limit), ...(next === undefined ? {} : { continue: next }) },
      accept: toAccept('PartialObjectMetadataList', selection.metadataOnly),
      ...(signal === undefined ? {} : { signal }),
    };
    const answer = await this.#client.call(request);
    const stated = fieldOf(answer.body, 'items');
    // An empty metadata-only list of a real API server has `items: null`. An answer without the field is no list at all (a proxy's page, say), and must not empty the world.
    const items = stated === null ? [] : stated;
    if (answer.code !== 200 || !Array.isArray(items)) throw toClusterError(answer, request.subject, request.confidential);
    const metadata = fieldOf(answer.body, 'metadata');
    const token = fieldOf(metadata, 'continue');
    const resourceVersion = fieldOf(metadata, 'resourceVersion');
    const parsed = items.flatMap((item) => parse(item, kind) ?? []);
    // To leave out what we cannot read would be to say that it is gone.
    if (parsed.length < items.length) throw new ClusterError('Unavailable', `${request.subject}: an item of the list is no object`);
    return {
      items: parsed,
      resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
      next: typeof token === 'string' && token !== '' ? token : undefined,
    };
  }

  async #watch<T extends ClusterObject>(
    selection: Omit<ReflectOptions<T>, 'onEvent'>,
    from: { resourceVersion: string; timeoutSeconds: number; signal: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>> {
    const { kind, namespace } = selection;
    const request: ApiRequest = {
      ...this.#request('watch', { kind, name: '*', ...(namespace === undefined ? {} : { namespace }) }, toCollectionPath(kind, namespace)),
      query: {
        ...toSelectors(selection),
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: from.resourceVersion,
        timeoutSeconds: String(from.timeoutSeconds),
      },
      accept: toAccept('PartialObjectMetadata', selection.metadataOnly),
    };
    return this.#client.watch(request, from.signal);
  }

  #request(verb: ApiRequest['verb'], reference: Reference, path: string): ApiRequest {
    const { kind } = reference;
    return { verb, path, subject: `${verb} ${toSubject(reference)}`, confidential: kind === 'Secret', urgent: kind === 'Lease' };
  }
}

/** The server knows the kind and has no such object. Any other 404 (the kind is not served yet, a proxy's page) says nothing about the object. */
function isAbsent({ code, body }: Answer, { name }: Reference): boolean {
  return code === 404 && fieldOf(fieldOf(body, 'details'), 'name') === name;
}

function toOutcome<T extends ClusterObject>(answer: Answer, request: ApiRequest, kind: Kind): WriteOutcome<T> {
  if (answer.code === 404) return { outcome: 'gone' };
  if (answer.code === 409) return { outcome: 'conflict' };
  return { outcome: 'written', object: toObject<T>(answer, request, kind) };
}

function toObject<T extends ClusterObject>(answer: Answer, request: ApiRequest, kind: Kind): T {
  if (answer.code >= 300) throw toClusterError(answer, request.subject, request.confidential);
  const object = parseObject<T>(answer.body, kind);
  if (object === undefined) throw new ClusterError('Unavailable', `${request.subject}: the answer is no object`);
  return object;
}

function toReference(object: ClusterObject): Reference {
  const { name, namespace } = object.metadata;
  return { kind: kindOf(object), name, ...(namespace === undefined ? {} : { namespace }) };
}

function toAccept(as: string, metadataOnly: boolean | undefined): string {
  return metadataOnly === true ? `application/json;as=${as};g=meta.k8s.io;v=v1` : 'application/json';
}

function requireResourceVersion(object: ClusterObject): void {
  if (object.metadata.resourceVersion === undefined) throw new TypeError('a write needs metadata.resourceVersion of what was read');
}
