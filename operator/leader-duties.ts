import type { Registry } from 'prom-client';
import type { Secret } from '../core/secret.ts';
import { usageBuckets } from '../core/usage-checkpoint.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { ChannelReports, type ChannelReportSource } from './channels/channel-reports.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { Heartbeats } from './revocation/heartbeats.ts';
import { LastUsedMirror, type LastUsedSource } from './credentials/last-used.ts';
import type { Publisher } from './snapshot/publish.ts';
import { toBucket } from './snapshot/snapshot-documents.ts';
import { keepRevocations } from './revocation/revocation-keeper.ts';
import type { Revocations } from './revocation/revocations.ts';
import { Settling } from './revocation/settling.ts';
import type { LimitBoard } from './usage/limit-board.ts';
import { LimitGauge } from './usage/limit-gauge.ts';
import type { UsageKeeperOptions, UsageSettings } from './usage/usage-keeper.ts';
import { UsageKeeper } from './usage/usage-keeper.ts';
import { makeUsageSecrets } from './usage/usage-secrets.ts';
import type { Watches } from './watches.ts';

export interface LeaderDutiesOptions {
  readonly watches: Watches;
  readonly publisher: Publisher;
  readonly revocations: Revocations;
  readonly heartbeats?: Heartbeats | undefined;
  readonly lastUsed?: LastUsedSource | undefined;
  readonly channelReports?: ChannelReportSource | undefined;
  readonly usage?: UsageSettings | undefined;
  readonly cluster: Cluster;
  /** of our own Secrets */
  readonly namespace: string;
  readonly installationSecret: Secret;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: { readonly registry: Registry };
  readonly again: (item: string, delayMs?: number) => void;
}

export interface LeaderDuties {
  readonly settling: Settling;
  readonly lastUsed: LastUsedMirror;
  readonly channelReports: ChannelReports;
  /** undefined: nobody tells what is used */
  readonly usage: UsageKeeper | undefined;
  stop(): Promise<void>;
}

/** What a leader, and nobody else, does with what it and the proxies tell each other through Redis or in one process. */
export function startLeaderDuties(options: LeaderDutiesOptions): LeaderDuties {
  const { watches, again, lastUsed: source } = options;
  const settling = new Settling({ ...options, onSettled: (keyId) => again(`VirtualKey/${keyId}`) });
  const lastUsed = new LastUsedMirror({
    ...options,
    source,
    records: () => watches.credentials.living(),
    onChange: (keyId, delayMs) => again(`VirtualKey/${keyId}`, delayMs),
  });
  const channelReports = new ChannelReports({
    ...options,
    source: options.channelReports,
    channelIds: () => [...watches.channels.values()].map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`),
    onChange: (id, delayMs) => again(`Channel/${id}`, delayMs),
  });
  const keeper = keepRevocations({
    ...options,
    recordOf: (keyId) => watches.credentials.get(keyId),
    records: () => [...watches.credentials.living(), ...watches.credentials.tombstones()],
    settlementOf: (keyId) => settling.of(keyId),
  });
  const limits = options.usage?.feed.limits && showLimits(options, { ...options.usage, board: options.usage.feed.limits });
  const usage = options.usage && keepUsage({ ...options, usage: options.usage, onUse: (keyId) => limits?.note(keyId) });
  return {
    settling,
    lastUsed,
    channelReports,
    usage,
    async stop() {
      keeper.stop();
      lastUsed.stop();
      channelReports.stop();
      limits?.stop();
      await usage?.stop();
    },
  };
}

type UsageDuties = LeaderDutiesOptions & Pick<UsageKeeperOptions, 'onUse'> & { readonly usage: UsageSettings };

function keepUsage(options: UsageDuties): UsageKeeper {
  const { watches, again, usage, cluster, installationSecret } = options;
  const store = usage.store ?? makeUsageSecrets({ ...options, buckets: usageBuckets });
  return new UsageKeeper({
    ...options,
    ...usage,
    store,
    bucketOf: (keyId) => toBucket(keyId, store.buckets, installationSecret),
    virtualKeys: () => watches.virtualKeys.values(),
    findKey: (keyId) => watches.findKey(keyId),
    isKnown: (keyId) => watches.findKey(keyId) !== undefined || watches.credentials.get(keyId) !== undefined,
    tell: (virtualKey, notice) => cluster.recordEvent({ regarding: virtualKey, ...notice }),
    onChange: (keyId, delayMs) => again(`VirtualKey/${keyId}`, delayMs),
  });
}

/** By what is published, since by that the proxies count. */
function showLimits(
  options: LeaderDutiesOptions,
  { board, maxKeySeries }: Pick<UsageSettings, 'maxKeySeries'> & { readonly board: LimitBoard },
): LimitGauge {
  const { publisher } = options;
  return new LimitGauge({
    ...options,
    board,
    maxKeySeries,
    limitsOf: (keyId) => publisher.key(keyId)?.record.limits,
    *limitedChannels() {
      for (const id of publisher.ids('channels')) {
        const limits = publisher.channel(id)?.record.limits;
        if (limits !== undefined) yield { id, limits };
      }
    },
  });
}
