import type { CredentialRecord, StoredCredential } from '../credentials/hashed-secret.ts';
import type { DeliveryPlan } from '../credentials/delivery-secret.ts';
import type { Notice, Problem } from './problem.ts';

/** What a source of credentials says. */
export interface CredentialOutcome {
  readonly credentials: readonly StoredCredential[];
  /** what a rotation changes of the record beside its credentials */
  readonly changes?: Partial<Pick<CredentialRecord, 'gen' | 'handledTrigger' | 'handledRotate' | 'rotatedAt'>>;
  /** hashes that are never to be accepted again */
  readonly barred: readonly string[];
  /** something accepted before no longer is */
  readonly removes: boolean;
  /** why (part of) the credentials are not in force */
  readonly problem?: Problem;
  /** what is being done and will be over within seconds */
  readonly progress?: string;
  /** Events that become true with the write of the hashed Secret */
  readonly notices: readonly Notice[];
  readonly issue?: boolean;
  readonly dropAttempt?: boolean;
  readonly delivery?: DeliveryPlan;
  readonly wakeAt?: number;
}
