import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterObject, Reference } from '../operator/cluster/cluster.ts';
import { makeMemoryCluster, type MemoryCluster } from '../operator/cluster/memory.ts';
import { type Operator, startOperator } from '../operator/operator.ts';
import { toTroubles } from '../proxy/channels/channel-reporter.ts';
import { makeRevocations } from '../proxy/keys/revocations.ts';
import { openAdmin } from '../proxy/open-admin.ts';
import { startProxy } from '../proxy/server.ts';
import { SnapshotIndex } from '../proxy/snapshot/snapshot-index.ts';
import { systemClock } from '../runtime/clock.ts';
import { exitWithMistakes } from '../runtime/environment.ts';
import { makeLifecycle } from '../runtime/lifecycle.ts';
import { makeLog } from '../runtime/log.ts';
import { makeMetrics } from '../runtime/metrics.ts';
import { readConfiguration } from './configuration.ts';
import { startFakeProvider } from './fake-provider.ts';
import { makeInProcessSource } from './in-process-source.ts';
import { ManifestSync } from './manifest-sync.ts';
import { makeAdmission } from './manifests/admission.ts';
import { watchManifestFolder } from './manifests/read-folder.ts';
import type { StandaloneOptions } from './options.ts';
import { openUsage } from './open-usage.ts';
import { openStateStore, type StateStore } from './state-store.ts';

const namespace = 'keywright-system';
const snapshotNamespace = 'keywright-snapshot';
const ownNamespaces = [namespace, snapshotNamespace];
/** The first keys are there well before; what cannot be made ready must not keep the rest from being served. */
const firstKeysMs = 5_000;

/**
 * `keywright standalone`: the operator over a folder and the proxy in one process. State → cluster → operator → snapshot → proxy → manifests → one line that says what
 * listens where, as soon as the keys of the folder work.
 */
export async function runStandalone(argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const configuration = readConfiguration(argv, environment);
  if ('mistakes' in configuration) return exitWithMistakes(configuration.mistakes);
  const { options, settings, server } = configuration;
  const log = makeLog({ level: settings.logLevel, name: 'standalone' });
  const lifecycle = makeLifecycle(log);
  lifecycle.handleSignals();
  const metrics = makeMetrics();
  lifecycle.onStop('metrics', () => metrics.close());

  const { state, before } = openState(options.state);
  lifecycle.onStop('state', () => state.close());
  const cluster = makeMemoryCluster({
    now: Date.now,
    initial: before,
    onChange: ({ type, object }) => (type === 'Applied' ? state.save(object) : state.remove(toReference(object))),
    onHandlerError: (error) => log.error({ err: error }, 'a bug in a reflector handler'),
  });
  lifecycle.onStop('cluster', () => cluster.close());

  const index = new SnapshotIndex({ log, metrics, clock: systemClock });
  const source = makeInProcessSource(cluster, snapshotNamespace);
  source.start(index);
  lifecycle.onStop('snapshot', () => source.stop());
  const revocations = makeRevocations({ now: Date.now, recordOf: (keyId) => index.recordOf(keyId), metrics });
  index.revocations.listen((revocation) => revocations.take(revocation));
  const { counters, usage, storedObjects, close } = await openUsage({ settings, directory: options.state, log, metrics });
  lifecycle.onStop('usage', () => close());
  lifecycle.onStop('counters', () => counters.close());
  const operators: Operator[] = [];
  // after the traffic, so that what the last requests used is written down
  lifecycle.onStop('operator', async () => {
    await counters.flush();
    for (const operator of operators) await operator.stop();
  });
  const proxy = await startProxy({
    settings: server,
    index,
    revocations,
    counters,
    storedObjects,
    log,
    metrics,
    clock: systemClock,
    random: Math.random,
  });
  const admin = await openAdmin({ proxy, index, listen: settings.adminListen, drainMs: server.drainMs, lifecycle, log, metrics });

  if (options.fakeProvider !== undefined) {
    const provider = await startFakeProvider({ listen: toAddress(options.fakeProvider) });
    lifecycle.onStop('fake provider', () => provider.close());
    log.info({ provider: provider.address }, 'the built-in fake provider is running');
  }

  const sync = new ManifestSync({ target: cluster, admission: makeAdmission(), log, ownNamespaces }, before);
  const folder = watchManifestFolder({ directory: options.manifests, log, onChange: (content) => sync.apply(content) });
  lifecycle.onStop('manifests', () => folder.stop());
  // what could not be written is said and tried again; the keys of an earlier run are served meanwhile
  await folder.ready.catch((error: unknown) =>
    log.error({ event: 'manifests_failed', err: error }, 'the manifests could not be taken over'),
  );

  const publicUrl = settings.publicUrl ?? proxy.address;
  const operator = startOperator({
    cluster,
    settings: {
      ...settings,
      namespace,
      snapshotNamespace,
      watchNamespaces: [],
      publicUrl,
      crdCheck: false,
      tombstoneMs: settings.tombstoneRetention,
    },
    clock: systemClock,
    random: randomBytes,
    log,
    metrics,
    settleMs: 0,
    channelReports: { read: async () => toTroubles(proxy.channelHealth()) },
    usage,
  });
  operators.push(operator);
  void operator.lead().catch((error: unknown) => {
    if (lifecycle.stopping) return;
    log.fatal({ err: error }, 'the operator could not start');
    process.exitCode = 1;
    void lifecycle.stop().then(() => process.exit(1));
  });
  await untilFirstKeys(cluster, index);
  log.info({ event: 'listening', address: proxy.address, admin: admin.address }, 'serving');
}

/** A folder that cannot be had, or holds what we did not write, is the caller's to mend, and said in one sentence. */
function openState(directory: StandaloneOptions['state']): { state: StateStore; before: ClusterObject[] } {
  try {
    const state = openStateStore({ directory, ownNamespaces });
    return { state, before: state.load() };
  } catch (error) {
    process.stderr.write(`keywright: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

/** Until every object of the folder has been looked at and the proxy has what came of it. */
async function untilFirstKeys(cluster: MemoryCluster, index: SnapshotIndex): Promise<void> {
  const deadlineMs = performance.now() + firstKeysMs;
  while (performance.now() < deadlineMs && !(index.ready && cluster.objects().every(isSeen))) await sleep(20);
}

function isSeen(object: {
  readonly kind: string;
  readonly metadata: { readonly generation?: number };
  readonly status?: { readonly observedGeneration?: number; readonly phase?: string };
}): boolean {
  if (object.kind !== 'VirtualKey') return true;
  return object.status?.observedGeneration === object.metadata.generation && object.status?.phase !== 'Pending';
}

function toAddress(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

function toReference(object: {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}): Reference {
  const { name, namespace: of } = object.metadata;
  return { kind: object.kind as Reference['kind'], name, ...(of === undefined ? {} : { namespace: of }) };
}
