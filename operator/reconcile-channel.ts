import { isDeepStrictEqual } from 'node:util';
import type { Channel } from '../core/resources.ts';
import type { ReconcileOptions } from './reconcile-key.ts';
import { translateChannel } from './translate/channel.ts';

const settlingMs = 3_000;

/** One Channel, from level: gather, decide, write. */
export class ChannelReconciler {
  readonly #options: ReconcileOptions;
  readonly #settlingSince = new Map<string, number>();

  constructor(options: ReconcileOptions) {
    this.#options = options;
  }

  async reconcile(id: string): Promise<void> {
    const { watches, publisher, gatherer, settings, clock, cluster, statuses, channelReports, again } = this.#options;
    await this.#lookAnew(id);
    const channel = this.#find(id);
    if (channel === 'unknown') return;
    if (channel === undefined) return publisher.setChannel(id, undefined);
    if (this.#awaitsNamespaces(channel)) return;
    const secrets = await gatherer.channelSecrets(channel);
    const usedBy = watches.countUsers(id);
    const nowMs = clock.now();
    const output = translateChannel(
      {
        channel,
        secrets,
        namespaces: watches.namespaceViews(),
        published: publisher.channel(id)?.record,
        hindrance: publisher.hindrance('channels', id),
        usedBy,
        health: channelReports.of(id),
        settings,
      },
      nowMs,
    );
    publisher.setChannel(id, output.record);
    if (output.settling) {
      const sinceMs = this.#settlingSince.get(id) ?? nowMs;
      this.#settlingSince.set(id, sinceMs);
      if (nowMs - sinceMs < settlingMs) return again(`Channel/${id}`, sinceMs + settlingMs - nowMs);
    } else this.#settlingSince.delete(id);
    if (isDeepStrictEqual(channel.status, output.status.value)) return;
    const written = await statuses.write(`Channel/${id}`, channel, output.status.value);
    if (written === undefined) return;
    watches.channels.wrote(written);
    for (const notice of output.status.notices) cluster.recordEvent({ regarding: channel, ...notice });
  }

  /**
   * Whether it is published with namespaces of which nobody knows whether they are gone: then it stays as it is. A list that comes back empty must not take a Channel from
   * everybody; they are asked for, and whatever is answered, the Channel is looked at again.
   */
  #awaitsNamespaces({ metadata: { namespace = '', name }, spec }: Channel): boolean {
    const { watches, publisher, absences } = this.#options;
    const admitted = publisher.channel(`${namespace}/${name}`)?.record.namespaces;
    if (!watches.knowsNamespaces || spec.allowedNamespaces?.from !== 'Selector' || admitted === undefined || admitted === 'All')
      return false;
    const unknown = admitted.filter((each) => !watches.knowsNamespace(each));
    return unknown.filter((each) => !absences.isGone(`Namespace//${each}`)).length > 0;
  }

  async #lookAnew(id: string): Promise<void> {
    const { watches, publisher, again } = this.#options;
    const dispute = publisher.dispute('channels', id);
    if (dispute === undefined) return;
    // Whether it is there at all is nothing to have different views of: an end does not wait.
    if (dispute.waitMs > 0 && watches.holds(`Channel/${id}`)) return again(`Channel/${id}`, dispute.waitMs);
    await watches.reread('Channel', id);
    dispute.settle();
  }

  /** As for keys: what is only missing from a list is asked for. */
  #find(id: string): Channel | 'unknown' | undefined {
    const [namespace = '', name = ''] = id.split('/');
    const { watches, absences } = this.#options;
    const found = watches.channels.get(namespace, name);
    if (found === undefined) return absences.isGone(`Channel/${id}`) ? undefined : 'unknown';
    return found.metadata.deletionTimestamp === undefined ? found : undefined;
  }
}
