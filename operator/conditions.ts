import type { Condition } from '../core/resources.ts';
import { toTimestamp } from './cluster/timestamp.ts';
import type { Reason } from './translate/reasons.ts';

export interface NextCondition {
  readonly type: 'Ready' | 'Accepted' | 'CredentialsReady' | 'Published' | 'Stalled' | 'Reconciling' | 'Healthy' | 'CredentialsHealthy';
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: Reason;
  readonly message: string;
}

/** The API server's bound for a condition's message. */
const longestMessage = 32_768;

/** The next conditions: `lastTransitionTime` moves only when a status does, so that an unchanged state is an unchanged status. */
export function toConditions(
  next: readonly NextCondition[],
  before: readonly Condition[],
  at: { generation: number; nowMs: number },
): Condition[] {
  return next.map(({ type, status, reason, message }) => {
    const known = before.find((condition) => condition.type === type);
    const lastTransitionTime = known?.status === status ? known.lastTransitionTime : toTimestamp(at.nowMs);
    return { type, status, reason, message: message.slice(0, longestMessage), lastTransitionTime, observedGeneration: at.generation };
  });
}
