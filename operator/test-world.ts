import { Registry } from 'prom-client';
import type { Channel, VirtualKey, VirtualKeySpec } from '../core/resources.ts';
import { Secret } from '../core/secret.ts';
import type { ChannelRecord, KeyRecord } from '../core/snapshot.ts';
import type { Clock } from '../runtime/clock.ts';
import { makeLog } from '../runtime/log.ts';
import type { SealSource } from '../runtime/seal-file.ts';
import type { ChannelReportSource } from './channels/channel-reports.ts';
import type { Cluster, ClusterObject, SecretObject } from './cluster/cluster.ts';
import { ClusterError } from './cluster/cluster.ts';
import type { MemoryCluster, MemoryVerb } from './cluster/memory.ts';
import { makeMemoryCluster } from './cluster/memory.ts';
import type { CredentialRecord } from './credentials/hashed-secret.ts';
import type { Heartbeats } from './revocation/heartbeats.ts';
import type { LastUsedSource } from './credentials/last-used.ts';
import { parseHashedSecret, toHashedSecretName } from './credentials/hashed-secret.ts';
import type { Operator, OperatorSettings } from './operator.ts';
import { startOperator } from './operator.ts';
import type { RevocationBoard } from './revocation/revocation-board.ts';
import type { UsageSettings } from './usage/usage-keeper.ts';
import { parseSnapshotSecret } from './snapshot/snapshot-documents.ts';

export const startMs = Date.parse('2026-01-05T00:00:00Z');
export const settleMs = 2_000;

export const testSettings: OperatorSettings = {
  namespace: 'system',
  snapshotNamespace: 'snapshot',
  watchNamespaces: [],
  publicUrl: 'https://gateway.example',
  keyPrefix: 'sk-kw-',
  allowLinkLocal: false,
  crdCheck: false,
  tombstoneMs: 90 * 86_400_000,
};

interface Write {
  readonly verb: MemoryVerb;
  readonly kind: string;
  readonly namespace: string | undefined;
  readonly name: string;
}

/** An operator on a cluster in memory, with time that moves only when told. For tests. */
export class World {
  readonly writes: Write[] = [];
  readonly cluster: MemoryCluster;
  readonly logLines: string[] = [];
  nowMs = startMs;
  /** called before each write of the operator; an error fails it */
  onWrite: (write: Write) => Error | undefined = () => undefined;
  operator: Operator | undefined;
  /** what stands between the operators and the cluster */
  through: (cluster: Cluster) => Cluster = (cluster) => cluster;
  metrics = new Registry();
  /** of the operators that are started from now on */
  seal: SealSource | undefined;
  /** set before `start`: where revocations stand */
  board: RevocationBoard | undefined;
  /** set before `start`: what the proxies tell */
  heartbeats: Heartbeats | undefined;
  /** set before `start`: what the proxies note */
  lastUsed: LastUsedSource | undefined;
  /** set before `start`: what the proxies tell of the channels */
  channelReports: ChannelReportSource | undefined;
  /** set before `start`: who tells what is used */
  usage: UsageSettings | undefined;
  readonly #settings: Partial<OperatorSettings>;
  readonly #timers = new Set<{ atMs: number; run: () => void }>();
  #uids = 0;
  #seed = 1;

  constructor(settings: Partial<OperatorSettings> = {}) {
    this.#settings = settings;
    this.cluster = makeMemoryCluster({
      now: () => this.nowMs,
      uid: () => `uid-${String((this.#uids += 1)).padStart(4, '0')}`,
      fault: (verb, { kind, namespace, name }) => {
        if (verb === 'get' || verb === 'list') return undefined;
        const write: Write = { verb, kind, namespace, name };
        const error = this.onWrite(write);
        if (error === undefined) this.writes.push(write);
        return error;
      },
    });
  }

  readonly clock: Clock = {
    now: () => this.nowMs,
    after: (ms, run) => {
      const timer = { atMs: this.nowMs + ms, run };
      this.#timers.add(timer);
      return { cancel: () => void this.#timers.delete(timer) };
    },
  };

  async start(): Promise<void> {
    this.operator = this.startReplica();
    void this.operator.lead().catch((error: unknown) => void this.logLines.push(String(error)));
    await this.settle();
  }

  /** One more operator, which does not lead; its caller stops it. */
  startReplica(cluster: Cluster = this.cluster): Operator {
    const log = makeLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void this.logLines.push(line) } });
    const settings = { ...testSettings, ...this.#settings };
    const seal = this.seal === undefined ? {} : { seal: this.seal };
    this.metrics = new Registry();
    const options = {
      cluster: this.through(cluster),
      settings,
      clock: this.clock,
      log,
      settleMs,
      board: this.board,
      heartbeats: this.heartbeats,
      lastUsed: this.lastUsed,
      channelReports: this.channelReports,
      usage: this.usage,
      ...seal,
    };
    return startOperator({ ...options, random: (bytes) => this.#random(bytes), metrics: { registry: this.metrics } });
  }

  async stop(): Promise<void> {
    const stopped = this.operator?.stop();
    this.operator = undefined;
    await this.settle();
    await stopped;
  }

  /** Lets everything run that waits for nothing but the event loop. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 40; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Time passes, timer by timer. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await this.settle();
    for (let next = this.#nextTimer(endMs); next !== undefined; next = this.#nextTimer(endMs)) {
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.#timers.delete(next);
      next.run();
      await this.settle();
    }
    this.nowMs = endMs;
  }

  #nextTimer(endMs: number): { atMs: number; run: () => void } | undefined {
    const due = [...this.#timers].filter(({ atMs }) => atMs <= endMs);
    return due.toSorted((left, right) => left.atMs - right.atMs)[0];
  }

  #random(bytes: number): Uint8Array {
    return Uint8Array.from({ length: bytes }, () => {
      this.#seed = (this.#seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return (this.#seed >> 16) & 0xff;
    });
  }

  applyKey(name: string, spec: VirtualKeySpec = {}, namespace = 'team'): Promise<VirtualKey> {
    return this.cluster.apply<VirtualKey>({
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'VirtualKey',
      metadata: { name, namespace },
      spec,
    });
  }

  applyChannel(name: string, spec: Channel['spec'], namespace = 'platform'): Promise<Channel> {
    return this.cluster.apply<Channel>({ apiVersion: 'keywright.dev/v1alpha1', kind: 'Channel', metadata: { name, namespace }, spec });
  }

  applySecret(
    name: string,
    values: Record<string, string>,
    options: { namespace?: string; labels?: Record<string, string> } = {},
  ): Promise<SecretObject> {
    const data = Object.fromEntries(Object.entries(values).map(([entry, value]) => [entry, Buffer.from(value).toString('base64')]));
    const metadata = { name, namespace: options.namespace ?? 'team', labels: options.labels ?? { 'keywright.dev/credential': 'true' } };
    return this.cluster.apply<SecretObject>({ apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data });
  }

  async key(name: string, namespace = 'team'): Promise<VirtualKey | undefined> {
    return this.cluster.get<VirtualKey>({ kind: 'VirtualKey', namespace, name });
  }

  async channel(name: string, namespace = 'platform'): Promise<Channel | undefined> {
    return this.cluster.get<Channel>({ kind: 'Channel', namespace, name });
  }

  secret(name: string, namespace = 'team'): Promise<SecretObject | undefined> {
    return this.cluster.get<SecretObject>({ kind: 'Secret', namespace, name });
  }

  /** The delivered key in plaintext. */
  async delivered(name: string, entry = 'apiKey'): Promise<string | undefined> {
    const value = (await this.secret(`${name}-virtualkey`))?.data?.[entry];
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
  }

  async record(keyId: string): Promise<CredentialRecord | undefined> {
    const secret = await this.secret(toHashedSecretName(keyId), 'system');
    return secret === undefined ? undefined : parseHashedSecret(secret);
  }

  /** What a proxy would read at this moment. */
  published(): { keys: KeyRecord[]; channels: ChannelRecord[]; index: boolean } {
    const found: { keys: KeyRecord[]; channels: ChannelRecord[]; index: boolean } = { keys: [], channels: [], index: false };
    for (const object of this.cluster.objects()) {
      if (object.kind !== 'Secret' || object.metadata.namespace !== 'snapshot') continue;
      const document = parseSnapshotSecret(object);
      if (document?.kind === 'keys') found.keys.push(...document.records);
      else if (document?.kind === 'channels') found.channels.push(...document.records);
      else if (document?.kind === 'index') found.index = true;
    }
    return found;
  }

  publishedKey(keyId: string): KeyRecord | undefined {
    return this.published().keys.find(({ id }) => id === keyId);
  }

  reasons(): string[] {
    return this.cluster.events().map(({ reason }) => reason);
  }

  /** Everything that is stored, but for Secrets that hold plaintext by design. */
  stored(besides: (object: ClusterObject) => boolean): string {
    return JSON.stringify(this.cluster.objects().filter((object) => !besides(object)));
  }
}

export function readyOf(object: VirtualKey | Channel | undefined): { status: string; reason: string } {
  const ready = object?.status?.conditions?.find(({ type }) => type === 'Ready');
  return { status: ready?.status ?? 'Unknown', reason: ready?.reason ?? '' };
}

export function crashAfter(writes: number): () => Error | undefined {
  let left = writes;
  return () => ((left -= 1) < 0 ? new ClusterError('Unavailable', 'the process is dead') : undefined);
}

export const providerKey = new Secret('sk-provider-0123456789-abcdefghij');
