import { makeVirtualKey, toDisplayPrefix } from '../../core/virtual-key.ts';
import type { Secret } from '../../core/secret.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { Attempt } from '../translate/key-input.ts';

interface KeptAttempt extends Attempt {
  /** the key itself; nowhere else until it is delivered */
  readonly secret: Secret;
}

/** The keys that this process has made and not yet delivered, one for each VirtualKey. They die with the process: whoever comes next makes new ones. */
export class Attempts {
  readonly #random: (bytes: number) => Uint8Array;
  readonly #kept = new Map<string, KeptAttempt>();

  constructor(random: (bytes: number) => Uint8Array) {
    this.#random = random;
  }

  get(keyId: string): Attempt | undefined {
    const kept = this.#kept.get(keyId);
    return kept === undefined ? undefined : { id: kept.id, hash: kept.hash, prefix: kept.prefix };
  }

  make(keyId: string, keyPrefix: string): void {
    const secret = makeVirtualKey(keyPrefix, this.#random);
    const text = secret.reveal();
    this.#kept.set(keyId, {
      id: Buffer.from(this.#random(8)).toString('hex'),
      hash: sha256Hex(text),
      prefix: toDisplayPrefix(text),
      secret,
    });
  }

  /** The key with that hash, if it is the one kept. */
  secretOf(keyId: string, hash: string): Secret | undefined {
    const kept = this.#kept.get(keyId);
    return kept?.hash === hash ? kept.secret : undefined;
  }

  drop(keyId: string): void {
    this.#kept.delete(keyId);
  }
}
