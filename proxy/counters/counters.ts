import type { NamedWindow } from '../../core/limit-windows.ts';
import type { RateWindow } from '../../core/rate-headers.ts';
import type { Revocation } from '../../core/revocation.ts';
import type { KeyBudget } from '../../core/snapshot.ts';
import type { UsageEvent } from '../../core/usage-event.ts';

/**
 * What the pipeline needs of a store of limits. Two implementations (memory, Redis) behind this one interface pass
 * one contract suite (`contract.ts`).
 */

/** One sliding window of one key. */
export interface LimitWindow extends NamedWindow {
  /** counted and reported, never refused */
  readonly shadow: boolean;
}

/** One budget of one key: at most so much money in a calendar period (UTC). */
export interface BudgetLimit {
  readonly period: KeyBudget['period'];
  readonly limitNanoUsd: number;
  /** counted and reported, never refused */
  readonly shadow: boolean;
}

/** What a budget stood at, by the store's clock. Integer nano-dollars. */
export interface BudgetState {
  readonly period: KeyBudget['period'];
  /** the window that counts: `2026-11-22`, `2026-W47`, `2026-11` or `total` */
  readonly window: string;
  readonly limitNanoUsd: number;
  readonly spentNanoUsd: number;
  /** held by requests in flight */
  readonly reservedNanoUsd: number;
  /** until the next window begins; absent for `Total`, which never frees */
  readonly resetMs?: number;
}

/** What one request may cost. Integer nano-dollars. */
export interface MoneyReservation {
  readonly budgets: readonly BudgetLimit[];
  /** upper bound of the cost: reserved against every budget until `settle` */
  readonly boundNanoUsd: number;
  /** what a reservation that nobody settles turns into at its deadline: the estimated input, at most the bound */
  readonly floorNanoUsd: number;
}

export interface Admission {
  /** makes the admission idempotent: a repeated one changes nothing and answers as the first */
  readonly requestId: string;
  /** id of the VirtualKey or Channel */
  readonly keyId: string;
  /** whose limits these are; a key's unless given */
  readonly subject?: 'channel';
  /** who asks, as the snapshot of this proxy has it: the store may know that it is over. Absent for a Channel, which nobody revokes */
  readonly bearer?: { readonly uid: string; readonly gen: number; readonly credentialId: string };
  readonly windows: readonly LimitWindow[];
  /** estimated tokens, reserved beside the buckets until `settle`; capped by the counters at each limit */
  readonly tokens: number;
  /** of a piece of the limits that is booked in advance (leases.ts): for how many requests, and how long they may be begun; absent = this very request */
  readonly lease?: { readonly requests: number; readonly forMs: number };
  /** requests in flight; absent = no such limit */
  readonly concurrency?: { readonly limit: number; readonly shadow: boolean };
  /** absent = the key has no budget */
  readonly money?: MoneyReservation;
  /** after so long without `renew` or `settle` the reservation turns into used tokens and the slot frees itself */
  readonly holdMs: number;
}

/** What is left of one window, for the rate headers. */
export type WindowState = RateWindow;

export type AdmitAnswer =
  | {
      readonly outcome: 'admitted';
      /** the store's clock (Redis TIME), ms since 1970; what the access log shows */
      readonly timeMs: number;
      readonly windows: readonly WindowState[];
      readonly budgets?: readonly BudgetState[];
      /** names of shadow limits and `budget:<period>` of shadow budgets that would have refused */
      readonly shadowRefusals: readonly string[];
      /** true while the answer comes from this pod's share and not from the shared store */
      readonly degraded: boolean;
    }
  | {
      readonly outcome: 'refused';
      readonly timeMs: number;
      /** the limit that refused: a window's name, or `concurrency` */
      readonly limitName: string;
      readonly unit: 'requests' | 'tokens' | 'concurrency';
      readonly span: 'minute' | 'day' | 'now';
      readonly limit: number;
      /** exact for requests, an upper bound for tokens, never early; includes the jitter */
      readonly retryAfterMs: number;
      readonly windows: readonly WindowState[];
      readonly degraded: boolean;
    }
  /** a budget is used up; nothing was reserved */
  | {
      readonly outcome: 'exhausted';
      readonly timeMs: number;
      readonly budget: BudgetState;
      readonly windows: readonly WindowState[];
      readonly degraded: boolean;
    }
  /** the store knows of a revocation that overrules the proxy's record; nothing was reserved */
  | { readonly outcome: 'overruled'; readonly timeMs: number; readonly revocations: readonly Revocation[] }
  /** the store is away and the policy is Closed, or the spend of a budget is still being restored: 503 `limiter_unavailable` */
  | { readonly outcome: 'unavailable' };

/** End of an admitted request: the reservation is replaced by the true usage and the slot is freed. Once; a second one does nothing. */
export interface Settlement {
  readonly requestId: string;
  /** id and kind as in the admission */
  readonly keyId: string;
  readonly subject?: 'channel';
  readonly windows: readonly LimitWindow[];
  /** true input + output tokens */
  readonly tokens: number;
  readonly concurrency: boolean;
  /** gives the request back as well (nothing was sent to any provider): refunds the bucket that was charged */
  readonly refundRequest: boolean;
  /** of an admission with `money`: its budgets and the true cost, integer nano-dollars */
  readonly money?: {
    readonly budgets: readonly BudgetLimit[];
    readonly costNanoUsd: number;
    /**
     * The store let it in, or was last told that it runs, at that moment of its clock: if it knows nothing of that any more, it has lost it, and the cost counts all the same.
     * Set by the counters.
     */
    readonly knownMs?: number;
  };
  /** told to whoever keeps accounts, in the same script */
  readonly event?: UsageEvent;
}

/** What a key has used by now. */
export interface PeekQuestion {
  readonly keyId: string;
  readonly windows: readonly LimitWindow[];
  readonly concurrency?: { readonly limit: number; readonly shadow: boolean };
  readonly budgets?: readonly BudgetLimit[];
}

export type PeekAnswer =
  | {
      readonly outcome: 'known';
      /** the store's clock, ms since 1970 */
      readonly timeMs: number;
      /** in the order of the question; `resetMs`: until nothing would count any more if nothing else came */
      readonly windows: readonly (WindowState & { readonly used: number })[];
      readonly inFlight: number;
      readonly budgets: readonly BudgetState[];
      /** the figures of this proxy alone, against its share of the limits */
      readonly degraded: boolean;
    }
  /** the store is away, and this proxy knows nothing by itself */
  | { readonly outcome: 'unavailable' };

export interface Counters {
  /** never rejects */
  admit(admission: Admission): Promise<AdmitAnswer>;
  /** changes nothing; never rejects */
  peek(question: PeekQuestion): Promise<PeekAnswer>;
  /** off the request path, batched; never throws */
  settle(settlement: Settlement): void;
  /** books what has flowed so far of a long stream and renews reservation and slot */
  renew(admission: Admission, tokensSoFar: number, costSoFarNanoUsd?: number): void;
  /** nothing that this proxy remembers of the key counts any more: it was revoked, or changed otherwise */
  forget?(keyId: string): void;
  /** resolves when everything handed to `settle` so far has reached the store or is given up */
  flush(): Promise<void>;
  close(): Promise<void>;
}
