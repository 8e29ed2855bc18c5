import { Secret } from '../../core/secret.ts';
import { isWeakKey, toDisplayPrefix } from '../../core/virtual-key.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { SecretObject } from '../cluster/cluster.ts';
import type { SourceEntry } from './key-input.ts';

/** By this label the owner of a Secret lets Keywright read it. */
export const consentLabel = 'keywright.dev/credential';

/** What the owner of a brought key wants lists to show of it; at most so much of it is taken. */
const prefixAnnotation = 'keywright.dev/prefix';
const longestPrefix = 16;

/** Whether its owner has agreed that the operator reads it. */
export function isReadable(secret: SecretObject): boolean {
  return secret.metadata.labels?.[consentLabel] === 'true';
}

/** Values without the blanks around them: a line break at the end is what editors and `echo` leave, and no key can have one. */
export function toValues(secret: SecretObject): Map<string, Secret> {
  const entries = Object.entries(secret.data ?? {});
  return new Map(entries.map(([name, value]) => [name, new Secret(Buffer.from(value, 'base64').toString('utf8').trim())]));
}

/** What is kept of a Secret that holds brought keys. */
export function toSourceEntries(secret: SecretObject): Map<string, SourceEntry> {
  const shown = (secret.metadata.annotations?.[prefixAnnotation] ?? '').slice(0, longestPrefix);
  return new Map(
    [...toValues(secret)].map(([name, value]) => {
      const text = value.reveal();
      return [name, { hash: sha256Hex(text), weak: isWeakKey(text), prefix: toDisplayPrefix(text) || shown }];
    }),
  );
}
