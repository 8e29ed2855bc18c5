import type { ClusterObject } from '../cluster/cluster.ts';
import { toMicroTimestamp } from '../cluster/timestamp.ts';

/** coordination.k8s.io/v1. Its times are for people: nobody compares them with a clock of its own. */
export interface LeaseObject extends ClusterObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

/** Who takes a lease, and for how long it stands unless it is renewed. */
export interface LeaseClaim {
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly durationMs: number;
}

/** Given back, or held by nobody yet. */
export function isFree(lease: LeaseObject): boolean {
  return (lease.spec?.holderIdentity ?? '') === '';
}

/** The lease of an installation that has none. */
export function toFirstLease(claim: LeaseClaim, nowMs: number): LeaseObject {
  const { namespace, name } = claim;
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec: toSpec(claim, 0, nowMs) };
}

/** The lease of another holder, in our hands; only the version that was read may be replaced by it. */
export function toTakenLease(lease: LeaseObject, claim: LeaseClaim, nowMs: number): LeaseObject {
  return { ...lease, spec: { ...lease.spec, ...toSpec(claim, (lease.spec?.leaseTransitions ?? 0) + 1, nowMs) } };
}

/** Our lease, renewed. */
export function toRenewedLease(lease: LeaseObject, nowMs: number): LeaseObject {
  return { ...lease, spec: { ...lease.spec, renewTime: toMicroTimestamp(nowMs) } };
}

/** Free at once for whoever watches it, and after a second for whoever only counts. */
export function toFreedLease(lease: LeaseObject, nowMs: number): LeaseObject {
  return { ...lease, spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: toMicroTimestamp(nowMs) } };
}

function toSpec({ identity, durationMs }: LeaseClaim, leaseTransitions: number, nowMs: number): NonNullable<LeaseObject['spec']> {
  const nowText = toMicroTimestamp(nowMs);
  const leaseDurationSeconds = Math.round(durationMs / 1000);
  return { holderIdentity: identity, leaseDurationSeconds, acquireTime: nowText, renewTime: nowText, leaseTransitions };
}
