import type { ChannelTroubles } from '../../core/channel-report.ts';
import type { Channel, ChannelStatus } from '../../core/resources.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import type { NextCondition } from '../conditions.ts';
import { toConditions } from '../conditions.ts';
import { toHealthConditions, toHealthNotices } from './channel-health.ts';
import { compact } from './compact.ts';
import { identify } from './identity.ts';
import { toHindrances, toPublished } from './key-conditions.ts';
import type { Notice, Problem } from './problem.ts';
import { toWarning } from './problem.ts';

interface ChannelState {
  readonly problem: Problem | undefined;
  /** what the proxies must be told */
  readonly record: ChannelRecord | undefined;
  /** whether they have been */
  readonly holds: boolean;
  readonly hindrance?: string | undefined;
  readonly nowMs: number;
}

/** The status of a Channel, and the Events that become true with it. */
export function toChannelStatus(
  subject: { readonly channel: Channel; readonly usedBy: number; readonly health?: ChannelTroubles | undefined },
  state: ChannelState,
): { value: ChannelStatus; notices: Notice[] } {
  const { channel, usedBy } = subject;
  const { generation } = identify(channel);
  const before = channel.status ?? {};
  // one that is not in force sends nothing, so nothing is known of it
  const health = state.record === undefined ? [] : toHealthConditions(channel, subject.health);
  const conditions = toConditions([...toNextConditions(channel, state), ...health], before.conditions ?? [], {
    generation,
    nowMs: state.nowMs,
  });
  const modelCount = channel.spec.models?.length ?? 0;
  const value: ChannelStatus = compact({ ...before, observedGeneration: generation, modelCount, usedBy, conditions });
  return { value, notices: [...toNotices(before, value, state.problem), ...toHealthNotices(before, value)] };
}

function toNextConditions(channel: Channel, { problem, record, holds, hindrance }: ChannelState): NextCondition[] {
  const published = toPublished({ holds, hindrance });
  if (problem !== undefined) {
    const message = record === undefined ? problem.message : `${problem.message}; generation ${record.generation} stays in force`;
    const refused = { status: 'False', reason: problem.reason, message } as const;
    return [
      { type: 'Ready', ...refused },
      { type: 'Accepted', ...refused },
      published,
      ...toHindrances({ ...problem, message }, undefined),
    ];
  }
  const accepted: NextCondition = { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'all references resolve' };
  const ready: NextCondition = holds ? toReady(channel) : { ...published, type: 'Ready' };
  return [ready, accepted, published, ...toHindrances(undefined, holds ? undefined : published)];
}

function toReady(channel: Channel): NextCondition {
  if (channel.spec.suspended === true)
    return { type: 'Ready', status: 'True', reason: 'Suspended', message: 'no request is sent there until suspended is set back' };
  return { type: 'Ready', status: 'True', reason: 'Available', message: 'the Channel is in force' };
}

function toNotices(before: ChannelStatus, after: ChannelStatus, problem: Problem | undefined): Notice[] {
  const messageOf = (status: ChannelStatus) => status.conditions?.find(({ type }) => type === 'Accepted')?.message ?? '';
  if (problem === undefined || messageOf(before) === messageOf(after)) return [];
  return [toWarning(problem.reason === 'SecretNotFound' ? 'RefNotPermitted' : problem.reason, messageOf(after))];
}
