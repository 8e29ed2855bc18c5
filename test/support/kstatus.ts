/** What kstatus (sigs.k8s.io/cli-utils, in Helm 4 and Flux) makes of a custom resource. */
export type KStatus = 'Current' | 'InProgress' | 'Failed' | 'Terminating';

export interface StatusBearer {
  readonly metadata: { readonly generation?: number | undefined; readonly deletionTimestamp?: string | undefined };
  readonly status?:
    | {
        readonly observedGeneration?: number | undefined;
        readonly conditions?: readonly { readonly type: string; readonly status: string }[] | undefined;
      }
    | undefined;
}

/** The rules of its documentation, in their order, for kinds that it does not know: deletion, generation, Reconciling and Stalled, then Ready. */
export function toKStatus({ metadata, status = {} }: StatusBearer): KStatus {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  const { observedGeneration, conditions = [] } = status;
  if (observedGeneration !== undefined && observedGeneration !== metadata.generation) return 'InProgress';
  const abnormal = conditions.find((condition) => isAbnormal(condition.type) && condition.status === 'True');
  if (abnormal !== undefined) return abnormal.type === 'Stalled' ? 'Failed' : 'InProgress';
  const ready = conditions.find(({ type }) => type === 'Ready');
  return ready === undefined || ready.status === 'True' ? 'Current' : 'InProgress';
}

function isAbnormal(type: string): boolean {
  return type === 'Reconciling' || type === 'Stalled';
}
