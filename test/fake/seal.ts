import { randomBytes } from 'node:crypto';
import type { SealSource } from '../../runtime/seal-file.ts';
import { parseSealKeys, type SealKeys } from '../../runtime/seal.ts';

/** A line of a seal key file. */
export function makeSealKey(): string {
  return randomBytes(32).toString('base64');
}

export function sealKeysOf(...lines: readonly string[]): SealKeys {
  const parsed = parseSealKeys(lines.join('\n'));
  if (!parsed.ok) throw new Error(parsed.mistakes.join('; '));
  return parsed.keys;
}

/** Seal keys that a test changes by hand. */
export class FakeSeal implements SealSource {
  keys: SealKeys;
  readonly #listeners: (() => void)[] = [];

  constructor(keys: SealKeys) {
    this.keys = keys;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  change(keys: SealKeys): void {
    this.keys = keys;
    for (const listener of this.#listeners) listener();
  }

  stop(): void {}
}
