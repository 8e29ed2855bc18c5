import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from '../runtime/clock.ts';
import { exitWithMistakes, parseSettings, type Settings } from '../runtime/environment.ts';
import { makeLifecycle } from '../runtime/lifecycle.ts';
import { makeLog } from '../runtime/log.ts';
import { makeMetrics } from '../runtime/metrics.ts';
import { makeRedisLink } from '../runtime/redis-link.ts';
import { findRedisMistakes, toRedisSource } from '../runtime/redis-settings.ts';
import { followSealFile, openSealFile, type SealFile, sealSettings } from '../runtime/seal-file.ts';
import { findMistakes, proxySettings, toServerSettings } from './config.ts';
import { startChannelReporter } from './channels/channel-reporter.ts';
import { openCounters } from './counters/open-counters.ts';
import { startHeartbeat } from './snapshot/heartbeat.ts';
import { findKubeConfig, type KubeConnection } from './kubernetes/kube-config.ts';
import { makeKubernetesSource } from './kubernetes/kubernetes-source.ts';
import { startRevocationFeed } from './keys/revocation-feed.ts';
import { makeRevocations } from './keys/revocations.ts';
import { startLastUsed } from './keys/last-used.ts';
import { openAdmin } from './open-admin.ts';
import { type ServerSettings, startProxy } from './server.ts';
import { makeSharedStoredObjects } from './stored-objects/shared.ts';
import { withSnapshotCache } from './snapshot/snapshot-cache.ts';
import { makeDocumentReader } from './snapshot/snapshot-document.ts';
import { SnapshotIndex } from './snapshot/snapshot-index.ts';

/** `keywright proxy`: settings → parts → one line that says what listens where. */
export async function runProxy(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const configuration = readConfiguration(environment);
  if ('mistakes' in configuration) return exitWithMistakes(configuration.mistakes);
  const { settings, server, connection } = configuration;
  const log = makeLog({ level: settings.logLevel, name: 'proxy' });
  const lifecycle = makeLifecycle(log);
  lifecycle.handleSignals();

  const metrics = makeMetrics();
  lifecycle.onStop('metrics', () => metrics.close());

  const seal = followSealFile(configuration.seal, { clock: systemClock, log });
  lifecycle.onStop('seal', () => seal.stop());
  const read = makeDocumentReader({ seal, namespace: settings.snapshotNamespace });
  const index = new SnapshotIndex({ log, metrics, clock: systemClock, read });
  seal.onChange(() => index.unlock());
  const watched = makeKubernetesSource({ connection, namespace: settings.snapshotNamespace, log, clock: systemClock, random: Math.random });
  const source = settings.snapshotCacheDir === undefined ? watched : withSnapshotCache(watched, settings.snapshotCacheDir, log, read);
  const revocations = makeRevocations({ now: Date.now, recordOf: (keyId) => index.recordOf(keyId), metrics });
  index.revocations.listen((revocation) => revocations.take(revocation));
  source.start(index);
  lifecycle.onStop('snapshot', () => source.stop());

  const redis = toRedisSource(settings);
  const link = redis && makeRedisLink({ ...redis, name: 'keywright-proxy', random: Math.random, log });
  const common = { clock: systemClock, log, metrics };
  const feed = link && startRevocationFeed({ ...common, link, revocations });
  const own = `${hostname()}-${randomBytes(6).toString('hex')}`;
  const heartbeat =
    link &&
    startHeartbeat({
      ...common,
      link,
      proxy: own,
      inForce: () => index.inForce(),
    });
  const lastUsed = link && startLastUsed({ ...common, link });
  index.onApplied = () => heartbeat?.changed();
  lifecycle.onStop('redis', async () => {
    feed?.stop();
    await lastUsed?.stop();
    await heartbeat?.stop();
    await link?.close();
  });

  const replicas = (): number => heartbeat?.living() ?? settings.replicas;
  const counters = await openCounters({ ...settings, replicas }, { log, metrics, link });
  lifecycle.onStop('counters', () => counters.close());

  const proxy = await startProxy({
    settings: server,
    index,
    revocations,
    lastUsed,
    counters,
    storedObjects: link && makeSharedStoredObjects({ link }),
    log,
    metrics,
    clock: systemClock,
    random: Math.random,
  });
  const reporter = link && startChannelReporter({ ...common, link, proxy: own, describe: () => proxy.channelHealth() });
  lifecycle.onStop('channel reports', () => reporter?.stop());
  const admin = await openAdmin({ proxy, index, listen: settings.adminListen, drainMs: server.drainMs, lifecycle, log, metrics });

  log.info({ event: 'listening', address: proxy.address, admin: admin.address }, 'serving');
}

interface ProxyConfiguration {
  readonly settings: Settings<typeof proxySettings>;
  readonly server: ServerSettings;
  readonly connection: KubeConnection;
  readonly seal: SealFile | undefined;
}

/** Everything that is wrong is told at once, and then nothing starts. */
export function readConfiguration(
  environment: Readonly<Record<string, string | undefined>>,
): ProxyConfiguration | { readonly mistakes: readonly string[] } {
  const parsed = parseSettings(proxySettings, environment);
  const readable = parsed.ok ? parsed.settings : parsed.readable;
  const kube = findKubeConfig(environment);
  const seal = openSealFile(environment[sealSettings.sealKeyFile.name]);
  const mistakes = [
    ...(parsed.ok ? [] : parsed.mistakes),
    ...findMistakes(readable),
    ...findRedisMistakes(readable),
    ...(hasSharedCounters(environment) ? [] : [redisMissing]),
    ...(kube.ok ? [] : [kube.mistake]),
    ...(seal.ok ? [] : seal.mistakes),
  ];
  if (!parsed.ok || !kube.ok || !seal.ok || mistakes.length > 0) return { mistakes };
  return { settings: parsed.settings, server: toServerSettings(parsed.settings), connection: kube.connection, seal: seal.file };
}

const redisMissing =
  'KEYWRIGHT_REDIS_URL is required: without Redis every proxy would count for itself; to run a single proxy without it, set KEYWRIGHT_REPLICAS=1';

/** One proxy may count alone, but only if somebody said that there is one: the default would be right by chance. */
function hasSharedCounters(environment: Readonly<Record<string, string | undefined>>): boolean {
  return (environment[proxySettings.redisUrl.name] ?? '').trim() !== '' || environment[proxySettings.replicas.name]?.trim() === '1';
}
