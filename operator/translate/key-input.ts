import type { VirtualKey, VirtualKeyStatus, VirtualKeyUsage } from '../../core/resources.ts';
import type { Revocation } from '../../core/revocation.ts';
import type { Secret } from '../../core/secret.ts';
import type { KeyRecord } from '../../core/snapshot.ts';
import type { DeliveryFacts, DeliveryPlan } from '../credentials/delivery-secret.ts';
import type { CredentialRecord } from '../credentials/hashed-secret.ts';
import type { ChannelView } from './channel-view.ts';
import type { Notice } from './problem.ts';

/** What of the installation the translation depends on. */
export interface TranslateSettings {
  /** where clients reach the proxies, without a trailing slash */
  readonly publicUrl: string;
  /** how long after its publication a new key may be delivered */
  readonly settleMs: number;
  readonly installationSecret: Secret;
  readonly allowLinkLocal: boolean;
  /** false: only some namespaces are watched, so labels of namespaces are not known */
  readonly knowsNamespaces: boolean;
}

/** A key that this process has made and not yet delivered. */
export interface Attempt {
  readonly id: string;
  readonly hash: string;
  readonly prefix: string;
}

/** What is known of one value in a labelled Secret: never the value. */
export interface SourceEntry {
  readonly hash: string;
  readonly weak: boolean;
  /** display prefix, `''` if unknown */
  readonly prefix: string;
}

/** Who has recorded which hash. */
export interface Claims {
  /** the first other key that has recorded this hash */
  firstOwner(hash: string, besides: string): { readonly createdAt: number; readonly uid: string } | undefined;
  isRevoked(hash: string): boolean;
  /** the hash is stored among the revoked ones, so that no record has to keep it */
  isFiled(hash: string): boolean;
  /** whether it was revoked cannot be told: what would know is lost */
  isUnknown(hash: string): boolean;
  /** above which a key begins that is made under a new name */
  readonly firstGeneration: number;
}

export interface KeyInput {
  readonly virtualKey: VirtualKey;
  /** from the hashed Secret; `invalid`: there is one that cannot be read */
  readonly record: CredentialRecord | 'invalid' | undefined;
  /** of a generated key: the Secret that has the name of the delivery Secret; undefined: none */
  readonly delivery: DeliveryFacts | undefined;
  /** why the last write of the delivery Secret was refused */
  readonly deliveryRefused: boolean;
  /** of a key from a Secret: the labelled Secret's entries by name; undefined: no such Secret */
  readonly source: ReadonlyMap<string, SourceEntry> | undefined;
  readonly channels: readonly ChannelView[];
  readonly claims: Claims;
  /** what is published, and since when the proxies can see it */
  readonly published:
    | {
        readonly record: KeyRecord;
        readonly atMs: number | undefined;
        /** whether every living proxy says that it has it; absent or `unknown`: none says, so time has to do */
        readonly settlement?: 'settled' | 'waiting' | 'unknown';
      }
    | undefined;
  /** why the proxies are not told what they should be; undefined: nothing hinders it */
  readonly hindrance?: string | undefined;
  readonly attempt: Attempt | undefined;
  /** what stands of the key beside the snapshot (Redis), whoever wrote it */
  readonly standing?: readonly Revocation[];
  /** when its retiring credentials were used last, by credential id, as far as it is to be shown */
  readonly lastUsed?: ReadonlyMap<string, number> | undefined;
  /** what the status is to show of its usage; undefined: what it shows already */
  readonly usage?: VirtualKeyUsage | undefined;
  readonly settings: TranslateSettings;
}

export interface KeyOutput {
  /** what the proxies must be told; undefined: nothing */
  readonly record: KeyRecord | undefined;
  /** something was taken away: publish before anything else and without delay */
  readonly urgent: boolean;
  /** to be written to the hashed Secret, with the Events that this write makes true */
  readonly hashedSecret: { readonly record: CredentialRecord; readonly notices: readonly Notice[] } | undefined;
  /** to be written to the delivery Secret */
  readonly delivery: DeliveryPlan | undefined;
  /** a credential must be made; then translate again */
  readonly issue: boolean;
  /** the attempt is lost or over */
  readonly dropAttempt: boolean;
  /** the next status, with the Events that its write makes true */
  readonly status: { readonly value: VirtualKeyStatus; readonly notices: readonly Notice[] };
  /** the status is about to change by itself within seconds: not worth a write yet */
  readonly settling: boolean;
  /** when to look again, milliseconds since 1970 */
  readonly wakeAt: number | undefined;
}
