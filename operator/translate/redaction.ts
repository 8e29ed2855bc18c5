import { parseDurationMs } from '../../core/duration.ts';
import type { VirtualKey } from '../../core/resources.ts';
import type { DeliveryFacts, DeliveryLayout, DeliveryPlan } from '../credentials/delivery-secret.ts';
import { isLaidOut, toDeliveryLayout, toRedacted } from '../credentials/delivery-secret.ts';
import type { StoredCredential } from '../credentials/hashed-secret.ts';
import { checkTemplate } from './acceptance.ts';
import { toNotice, toWarning } from './problem.ts';
import { toIssuedAt } from './rotation.ts';

/** When the plaintext of a delivered key leaves its Secret; undefined: never, or it already has. */
export function toRedactionTime(virtualKey: VirtualKey, active: StoredCredential): number | undefined {
  const { redactAfter } = virtualKey.spec.delivery ?? {};
  if (redactAfter === undefined || active.redactedAt !== undefined) return undefined;
  const afterMs = parseDurationMs(redactAfter);
  return Number.isNaN(afterMs) ? undefined : toIssuedAt(active) + afterMs;
}

/**
 * The write that takes the plaintext out of the delivery Secret, or makes the Secret anew without it; undefined: it is as it must be. `hashes`: of the keys that may have
 * stood there; any other value in a key's entry was planted.
 */
export function planRedaction(
  virtualKey: VirtualKey,
  options: { delivery: DeliveryFacts | undefined; publicUrl: string; hashes: readonly string[] },
): DeliveryPlan | undefined {
  const { delivery, publicUrl, hashes } = options;
  const full = toSafeLayout(virtualKey, publicUrl);
  const layout = toRedacted(full);
  if (delivery !== undefined && isLaidOut(delivery, layout, undefined)) return undefined;
  const values = Object.values(delivery?.entries ?? {});
  const planted = delivery?.entries[full.secretKey];
  const notices = [
    ...(values.some((value) => hashes.includes(value)) ? [toNotice('SecretRedacted', 'the plaintext has left the delivery Secret')] : []),
    ...(planted === undefined || hashes.includes(planted)
      ? []
      : [
          toWarning('DeliverySecretTampered', 'the delivery Secret held a value that was not issued: it is not accepted and was taken out'),
        ]),
  ];
  return { mode: delivery === undefined ? 'create' : 'replace', keyHash: undefined, layout, notices };
}

/** The layout without a template that is refused: taking plaintext away must not wait until somebody mends it, nor may it write what was refused. */
function toSafeLayout(virtualKey: VirtualKey, publicUrl: string): DeliveryLayout {
  if (checkTemplate({ virtualKey }) === undefined) return toDeliveryLayout(virtualKey, publicUrl);
  const { template: _, environment: __, ...delivery } = virtualKey.spec.delivery ?? {};
  return toDeliveryLayout({ ...virtualKey, spec: { ...virtualKey.spec, delivery } }, publicUrl);
}
