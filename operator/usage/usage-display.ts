import { isDeepStrictEqual } from 'node:util';
import type { KeyUsage } from '../../core/key-usage.ts';
import type { VirtualKey, VirtualKeyBudget, VirtualKeyUsage } from '../../core/resources.ts';
import type { Clock } from '../../runtime/clock.ts';
import { isSpendKnown, toUsageStatus } from './usage-status.ts';

export interface UsageDisplayOptions {
  readonly usageOf: (keyId: string) => KeyUsage | undefined;
  /** the key's budgets are yet to be looked at */
  readonly isAwaited: (keyId: string) => boolean;
  readonly findKey: (keyId: string) => VirtualKey | undefined;
  /** a status is to be written anew */
  readonly onChange: (keyId: string, delayMs: number) => void;
  readonly clock: Clock;
  /** between two writes for one key */
  readonly everyMs: number;
}

/** Twenty writes a second for the whole installation. */
const betweenWritesMs = 50;
const mostPerRound = 20;

/** What the statuses say of usage: a copy for people, taken rarely, those that have waited longest first. At rest nothing changes, so nothing is written. */
export class UsageDisplay {
  readonly #options: UsageDisplayOptions;
  /** in the order in which they came; a key that is written leaves the line */
  readonly #waiting = new Set<string>();
  readonly #shown = new Map<string, VirtualKeyUsage>();

  constructor(options: UsageDisplayOptions) {
    this.#options = options;
  }

  /** Something may be new about a key. */
  mark(keyId: string): void {
    this.#waiting.add(keyId);
  }

  /** What the status of the key is to say; undefined: what it says already. */
  of(keyId: string): VirtualKeyUsage | undefined {
    return this.#shown.get(keyId);
  }

  /** To be called once a second. */
  round(): void {
    let written = 0;
    for (const keyId of this.#waiting) {
      if (written >= mostPerRound) return;
      const next = this.#next(keyId);
      if (next === 'later') continue;
      this.#waiting.delete(keyId);
      if (next === undefined) continue;
      this.#shown.set(keyId, next);
      this.#options.onChange(keyId, written * betweenWritesMs);
      written += 1;
    }
  }

  #next(keyId: string): VirtualKeyUsage | 'later' | undefined {
    const { usageOf, findKey, clock, everyMs } = this.#options;
    const virtualKey = findKey(keyId);
    const usage = usageOf(keyId);
    if (virtualKey === undefined || usage === undefined) {
      this.#shown.delete(keyId);
      return undefined;
    }
    const before = this.#shown.get(keyId) ?? virtualKey.status?.usage;
    // A clock of another leader that was ahead must not silence a key for long.
    const sinceMs = Math.abs(clock.now() - Date.parse(before?.asOf ?? '1970-01-01T00:00:00Z'));
    if (sinceMs < everyMs) return 'later';
    const { budgets = [] } = virtualKey.spec;
    if (this.#awaitsSpend(usage, budgets)) return 'later';
    const next = toUsageStatus(usage, budgets, clock.now());
    return next === undefined || isSame(next, before) ? undefined : next;
  }

  /** Else it would stand there for minutes that a key was used and has spent nothing. */
  #awaitsSpend(usage: KeyUsage, budgets: readonly VirtualKeyBudget[]): boolean {
    const { isAwaited, clock } = this.#options;
    return isAwaited(usage.id) && !isSpendKnown(usage, budgets, clock.now());
  }
}

/** But for when it was looked at. */
function isSame(left: VirtualKeyUsage, right: VirtualKeyUsage | undefined): boolean {
  return isDeepStrictEqual({ ...left, asOf: '' }, { ...right, asOf: '' });
}
