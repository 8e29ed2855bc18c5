import type { VirtualKey } from '../../core/resources.ts';
import { countUsers } from '../translate/acceptance.ts';
import type { ChannelView } from '../translate/channel-view.ts';

interface Group {
  readonly name: string;
  /** what all of them say */
  readonly sample: VirtualKey;
  count: number;
}

/**
 * The VirtualKeys, grouped by what decides which Channels they may use. Those are few groups (namespaces, mostly) of many keys, so that counting the users of a Channel
 * need not look at each key: with 20,000 of them that held up everything else for 20 ms, for each Channel.
 */
export class UserGroups {
  readonly #groupOf = new Map<string, Group>();
  readonly #groups = new Map<string, Group>();

  /** @returns whether some Channel may now have more or fewer users */
  set(id: string, virtualKey: VirtualKey | undefined): boolean {
    const name = virtualKey === undefined ? undefined : toGroupName(virtualKey);
    const before = this.#groupOf.get(id);
    if (before?.name === name) return false;
    if (before !== undefined) this.#leave(id, before);
    if (virtualKey !== undefined && name !== undefined) this.#join(id, name, virtualKey);
    return true;
  }

  count(channel: ChannelView): number {
    let users = 0;
    for (const { sample, count } of this.#groups.values()) users += countUsers(channel, [sample]) * count;
    return users;
  }

  #leave(id: string, group: Group): void {
    this.#groupOf.delete(id);
    group.count -= 1;
    if (group.count === 0) this.#groups.delete(group.name);
  }

  #join(id: string, name: string, virtualKey: VirtualKey): void {
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = { name, sample: toSample(virtualKey), count: 0 };
      this.#groups.set(name, group);
    }
    group.count += 1;
    this.#groupOf.set(id, group);
  }
}

/** Undefined for a key that uses no Channel any more. */
function toGroupName({ metadata, spec }: VirtualKey): string | undefined {
  if (spec.revoked === true || metadata.deletionTimestamp !== undefined) return undefined;
  return JSON.stringify([metadata.namespace, spec.access?.channels, spec.access?.providers]);
}

/** Only what decides: the whole object would stay in memory as long as its group. */
function toSample({ apiVersion, kind, metadata, spec }: VirtualKey): VirtualKey {
  const { channels, providers } = spec.access ?? {};
  const access = { ...(channels === undefined ? {} : { channels }), ...(providers === undefined ? {} : { providers }) };
  const { name, namespace } = metadata;
  return { apiVersion, kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) }, spec: { access } };
}
