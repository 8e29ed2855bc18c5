import type { Registry } from 'prom-client';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { SealSource } from '../runtime/seal-file.ts';
import { makeFixedSeal } from '../runtime/seal-file.ts';
import { Absences } from './absences.ts';
import type { Cluster, ReflectedEvent, SecretObject } from './cluster/cluster.ts';
import type { ChannelReportSource } from './channels/channel-reports.ts';
import { waitForCrds } from './crd-check.ts';
import { describeError } from './describe-error.ts';
import { toNamespaceOf } from './queue/fair-line.ts';
import { Gatherer, prefetchDeliveries } from './gather.ts';
import type { Heartbeats } from './revocation/heartbeats.ts';
import { keepHouse } from './housekeeping.ts';
import { housekeepingItem } from './housekeeping-item.ts';
import { loadInstallationSecret } from './installation.ts';
import { Attempts } from './credentials/issue-key.ts';
import type { OperatorMetrics } from './operator-metrics.ts';
import { makeOperatorMetrics } from './operator-metrics.ts';
import { Publisher } from './snapshot/publish.ts';
import { ChannelReconciler } from './reconcile-channel.ts';
import { KeyReconciler } from './reconcile-key.ts';
import { addSealMetrics, startResealing } from './sealing/reseal.ts';
import type { RevocationBoard } from './revocation/revocation-board.ts';
import type { LastUsedSource } from './credentials/last-used.ts';
import { startLeaderDuties } from './leader-duties.ts';
import { RevocationWatch } from './revocation/revocation-watch.ts';
import type { Settling } from './revocation/settling.ts';
import { StatusWriter } from './status-writer.ts';
import type { UsageSettings } from './usage/usage-keeper.ts';
import { SealedCluster } from './sealing/sealed-cluster.ts';
import { whenAborted } from './wait.ts';
import { Watches, type When } from './watches.ts';
import { ChangePace } from './queue/change-pace.ts';
import type { WorkQueue } from './queue/work-queue.ts';
import { toWorkItems } from './queue/work-items.ts';
import { makeWorkQueue } from './queue/work-queue.ts';
import { toWriteGuarded } from './leadership/write-guard.ts';

/** What of the configuration the operator's work depends on. */
export interface OperatorSettings {
  /** of our own Secrets */
  readonly namespace: string;
  readonly snapshotNamespace: string;
  /** empty = all */
  readonly watchNamespaces: readonly string[];
  /** where clients reach the proxies; written into delivery Secrets */
  readonly publicUrl: string;
  /** what generated keys begin with */
  readonly keyPrefix: string;
  /** Channels may point to link-local and metadata addresses */
  readonly allowLinkLocal: boolean;
  /** compare the CRDs of the cluster with what this version enforces */
  readonly crdCheck: boolean;
  /** how long the record of a deleted key stays */
  readonly tombstoneMs: number;
}

export interface OperatorOptions {
  readonly cluster: Cluster;
  readonly settings: OperatorSettings;
  readonly clock: Clock;
  /** that many random bytes, fit for keys */
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
  /** how long after its publication a new key may be delivered, so that every proxy has it; 0 where the proxy shares our memory */
  readonly settleMs: number;
  /** where revocations stand beside the snapshot; undefined: there is no Redis */
  readonly board?: RevocationBoard | undefined;
  /** what the proxies tell of themselves; undefined: there is no Redis */
  readonly heartbeats?: Heartbeats | undefined;
  /** where the proxies note the use of retiring credentials; undefined: nowhere */
  readonly lastUsed?: LastUsedSource | undefined;
  /** where the proxies tell what is wrong with the channels; undefined: nowhere */
  readonly channelReports?: ChannelReportSource | undefined;
  /** who tells what is used, and how it is kept; undefined: nobody */
  readonly usage?: UsageSettings | undefined;
  /** asked before every write; default: always */
  readonly mayWrite?: () => boolean;
  /** the keys of our own Secrets; default: they are not sealed */
  readonly seal?: SealSource;
}

export interface Operator {
  /**
   * Does the work until the signal is aborted, or `stop`. Nothing is written before all reflectors have listed. One at a time.
   * Rejects when what it needs at the start cannot be had.
   */
  lead(signal?: AbortSignal): Promise<void>;
  /** why it is not ready, for people; empty = ready */
  readiness(): readonly string[];
  /** false while it lacks a key for what another replica may be able to open */
  mayLead(): boolean;
  stop(): Promise<void>;
}

/** Starts to watch; writes nothing until it leads. */
export function startOperator(options: OperatorOptions): Operator {
  return new RunningOperator(options);
}

/** … and for what ends something so many more. No namespace has all of them, whatever it does. */
const workers = { concurrency: 8, urgentConcurrency: 4, keptForOthers: 2 };

class RunningOperator implements Operator {
  readonly #options: OperatorOptions;
  readonly #cluster: SealedCluster;
  readonly #watches: Watches;
  readonly #metrics: OperatorMetrics;
  readonly #revoking: RevocationWatch;
  readonly #pace: ChangePace;
  readonly #stopping = new AbortController();
  #outdated: readonly string[] = [];
  readonly #crdsFit: Promise<void>;
  #term: { readonly queue: WorkQueue; readonly publisher: Publisher; readonly settling: Settling; readonly locked: () => void } | undefined;
  #leading: Promise<void> = Promise.resolve();

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { settings, metrics } = options;
    this.#pace = new ChangePace(options.clock);
    this.#cluster = new SealedCluster({
      cluster: toWriteGuarded(options.cluster, options.mayWrite ?? (() => true)),
      seal: options.seal ?? makeFixedSeal(),
      namespaces: [settings.namespace, settings.snapshotNamespace],
      onLocked: () => this.#term?.locked(),
    });
    this.#watches = new Watches({
      cluster: this.#cluster,
      ...settings,
      onChange: (item, when) => this.#enqueue(item, when),
      onVirtualKey: (event) => this.#revoking.see(event),
      onSnapshotSecret: (event: ReflectedEvent<SecretObject>) => this.#term?.publisher.observe(event),
    });
    this.#metrics = makeOperatorMetrics(metrics.registry, this.#watches);
    addSealMetrics(metrics.registry, this.#cluster);
    this.#revoking = new RevocationWatch({
      ...options,
      board: options.board,
      cluster: this.#cluster,
      namespace: settings.namespace,
      watches: this.#watches,
      onChange: (keyId) => this.#enqueue(`VirtualKey/${keyId}`),
    });
    void this.#watches.whenSynced().then(() => this.#revoking.start(this.#stopping.signal));
    options.heartbeats?.onChange(() => this.#term?.settling.review());
    this.#crdsFit = settings.crdCheck
      ? waitForCrds({
          ...options,
          cluster: this.#cluster,
          signal: this.#stopping.signal,
          onOutdated: (names) => {
            this.#outdated = names;
            this.#metrics.crdOutdated(names.length > 0);
          },
        })
      : Promise.resolve();
  }

  lead(signal?: AbortSignal): Promise<void> {
    const ending = signal === undefined ? this.#stopping.signal : AbortSignal.any([signal, this.#stopping.signal]);
    this.#leading = this.#leading.catch(() => undefined).then(() => this.#lead(ending));
    return this.#leading;
  }

  readiness(): readonly string[] {
    return [
      ...this.#watches.waiting().map((name) => `waits for the list of ${name}`),
      ...this.#outdated.map((name) => `the CRD ${name} in the cluster is missing or older than this version needs`),
      ...[this.#cluster.trouble()].filter((trouble) => trouble !== undefined),
    ];
  }

  mayLead(): boolean {
    return this.#cluster.trouble() === undefined;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#leading.catch(() => undefined);
    await this.#revoking.revocations.stop();
    await this.#watches.stop();
  }

  async #lead(ending: AbortSignal): Promise<void> {
    const ended = whenAborted(ending);
    await Promise.race([this.#watches.whenSynced(), ended]);
    await Promise.race([this.#crdsFit, ended]);
    if (ending.aborted) return;
    this.#requireOpen();
    const { settings, clock, random, log, metrics, settleMs } = this.#options;
    const installationSecret = await loadInstallationSecret(this.#cluster, settings.namespace, random);
    this.#revoking.knowInstallationSecret(installationSecret);
    const fraction = () => Buffer.from(random(4)).readUInt32BE() / 2 ** 32;
    const onPublished = (kind: 'keys' | 'channels', ids: readonly string[]): void => {
      for (const id of ids) this.#enqueue(`${kind === 'keys' ? 'VirtualKey' : 'Channel'}/${id}`);
    };
    const { snapshotNamespace: namespace } = settings;
    const tools = { cluster: this.#cluster, clock, random: fraction, log, metrics };
    const absences = new Absences({ ...tools, watches: this.#watches, onAnswer: (item) => this.#enqueue(item) });
    const publisher = new Publisher({ ...tools, namespace, installationSecret, onPublished, absentKeys: () => absences.keys });
    await publisher.load();
    const gatherer = new Gatherer({ cluster: this.#cluster, watches: this.#watches, clock });
    await prefetchDeliveries(gatherer, settings.watchNamespaces, log);
    const shared = { watches: this.#watches, publisher, revocations: this.#revoking.revocations };
    const again = (item: string, delayMs = 0): void => this.#enqueue(item, delayMs);
    const duties = startLeaderDuties({ ...this.#options, ...tools, ...shared, namespace: settings.namespace, installationSecret, again });
    const parts = {
      ...shared,
      cluster: this.#cluster,
      gatherer,
      absences,
      attempts: new Attempts(random),
      statuses: new StatusWriter({ cluster: this.#cluster, clock, random: fraction, again }),
      ...duties,
      clock,
      settings: {
        ...settings,
        publicUrl: settings.publicUrl.replace(/\/+$/, ''),
        settleMs,
        installationSecret,
        knowsNamespaces: this.#watches.knowsNamespaces,
      },
      again,
    };
    const work = this.#toWork(new KeyReconciler(parts), new ChannelReconciler(parts), absences);
    const first = new Set(toWorkItems(this.#watches, publisher));
    const queue = makeWorkQueue({
      clock,
      random: fraction,
      ...workers,
      groupOf: toNamespaceOf,
      name: 'reconcile',
      metrics,
      async work(item) {
        try {
          await work(item);
        } finally {
          if (first.delete(item) && first.size === 0) publisher.open();
        }
      },
      onError: (item, error) => log.warn({ item, error: describeError(error) }, 'a run failed and is tried again'),
    });
    const { promise: locked, resolve } = Promise.withResolvers<void>();
    this.#term = { queue, publisher, settling: duties.settling, locked: resolve };
    const resealing = startResealing({ cluster: this.#cluster, clock, random: fraction, log, metrics });
    publisher.start();
    if (first.size === 0) publisher.open();
    for (const item of first) queue.add(item);
    queue.add(housekeepingItem);
    log.info({ items: first.size }, 'leading');
    await Promise.race([ended, locked]);
    this.#term = undefined;
    await Promise.all([duties.stop(), queue.stop(), resealing.stop(), absences.stop()]);
    await publisher.stop();
    if (!ending.aborted) this.#requireOpen();
  }

  /** What is locked is neither missing nor damaged: whoever has its key must lead, and this process must not write over it. */
  #requireOpen(): void {
    const trouble = this.#cluster.trouble();
    if (trouble !== undefined) throw new Error(trouble);
  }

  #toWork(keys: KeyReconciler, channels: ChannelReconciler, absences: Absences): (item: string) => Promise<void> {
    const { clock, log, settings } = this.#options;
    const house = {
      watches: this.#watches,
      clock,
      log,
      ...settings,
      again: (item: string, delayMs: number) => this.#enqueue(item, delayMs),
    };
    return async (item) => {
      const slash = item.indexOf('/');
      const kind = item.slice(0, slash);
      const startedMs = clock.now();
      let outcome: 'ok' | 'error' = 'error';
      try {
        if (item === housekeepingItem) await keepHouse(house);
        else if (kind === 'Namespace') this.#lookAtNamespace(item, absences);
        else await (kind === 'Channel' ? channels : keys).reconcile(item.slice(slash + 1));
        outcome = 'ok';
      } finally {
        this.#metrics.reconciled(kind, clock.now() - startedMs, outcome);
      }
    };
  }

  /** One that a list lacked, or an answer about it. */
  #lookAtNamespace(item: string, absences: Absences): void {
    if (!this.#watches.holds(item) && absences.isGone(item)) this.#watches.endNamespace(item.slice(item.lastIndexOf('/') + 1));
  }

  #enqueue(item: string, when: When = 0): void {
    if (when === 'urgently') this.#term?.queue.add(item, { urgent: true });
    else this.#term?.queue.addAfter(item, when === 'edited' ? this.#pace.delayMs(item) : Math.max(when, this.#pace.leftMs(item)));
  }
}
