import {
  beginBreakerProbe,
  type ChannelBreaker,
  closedBreaker,
  commonStateOf,
  dropBreakerProbe,
  recordAnswer,
  recordNoAnswer,
  stateOfBreaker,
  waitOfBreaker,
} from '../../core/channel-breaker.ts';
import type { CircuitRules, CircuitState } from '../../core/circuit.ts';
import {
  blockOf,
  type CredentialBlock,
  type CredentialHealth,
  type CredentialOutcome,
  enterCredential,
  noProbes,
  type Probes,
  recordOutcome,
  wellCredential,
} from '../../core/credential-health.ts';
import { depositRequest, makeRetryBudget, type RetryBudget, withdrawRetry } from '../../core/retry-budget.ts';
import type { ChannelCredential, ChannelRecord } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';

/** What somebody wants to send. */
export interface HealthQuestion {
  readonly channel: ChannelRecord;
  /** namespace of the key */
  readonly tenant: string;
  /** what is asked of the provider: the call and the model */
  readonly model: string;
  /** name of the one credential that may be used (`''`: the upstream needs none); undefined: any of the pool */
  readonly pinned?: string | undefined;
}

export interface ChannelBlock {
  readonly reason: CredentialBlock['reason'] | 'circuitOpen';
  readonly waitMs: number;
}

/** The credentials that can be used now (`undefined` stands for the one of a channel that needs none), or why there are none. */
export type Availability = { readonly credentials: readonly (ChannelCredential | undefined)[] } | { readonly block: ChannelBlock };

/**
 * How an attempt ended. `answered`: the provider answered the request itself, be it with a no (`well`: with what was asked for). `noAnswer`: it did not, or broke off.
 * `notAsked`: nothing that speaks of the provider.
 */
export type AttemptHealth =
  | { readonly kind: 'answered'; readonly verdict: CredentialOutcome['verdict']; readonly retryAfterMs?: number | undefined }
  /** `isNobodysFault`: the request cannot be the reason */
  | { readonly kind: 'noAnswer'; readonly isNobodysFault: boolean }
  | { readonly kind: 'notAsked' };

/** An attempt under way. */
export interface HealthEntry {
  /** the head of a good answer is here: what was tried out is well, however long the rest takes */
  heard(): void;
  /** once, at the end */
  end(health: AttemptHealth): void;
}

/** What an operator may see of one channel; no values of credentials, no names of models that clients chose. */
export interface ChannelHealthView {
  readonly id: string;
  readonly breaker: CircuitState;
  readonly openForOneTenant: boolean;
  readonly waitMs: number;
  readonly credentials: readonly {
    readonly name: string;
    readonly state: 'well' | CredentialBlock['reason'];
    readonly waitMs: number;
    readonly coolingModels: number;
  }[];
}

export interface ChannelHealth {
  look(question: HealthQuestion): Availability;
  /** Undefined: somebody else is trying it out at this moment, or it has failed since it was looked at. */
  enter(question: HealthQuestion, credential: ChannelCredential | undefined): HealthEntry | undefined;
  /** the first attempt of a request at this channel */
  countRequest(channel: ChannelRecord): void;
  /** false: the channel has had enough repetitions for now */
  mayRepeat(channel: ChannelRecord): boolean;
  describe(channels: readonly ChannelRecord[]): readonly ChannelHealthView[];
}

/** Consecutive failures and time of a Channel that says nothing of its own. */
const breakerDefaults = { consecutiveFailures: 5, openMs: 30_000 } as const;

interface CredentialState {
  /** SHA-256 of the value: another value is another credential */
  readonly hash: string;
  health: CredentialHealth;
}

interface ChannelState {
  /** which edition of the Channel this was seen of */
  readonly edition: string;
  breaker: ChannelBreaker;
  budget: RetryBudget;
  readonly credentials: Map<string, CredentialState>;
}

/**
 * What this proxy has seen of the channels. Kept by id and edition of the Channel, and inside by name and value of the credential: whatever is changed starts afresh.
 * `now`: milliseconds; `channels`: of the snapshot, so that what is gone is forgotten.
 */
export function makeChannelHealth({ now }: { now: () => number }): ChannelHealth {
  const states = new Map<string, ChannelState>();
  /** hashing is done once for a value, not once for a request */
  const hashes = new WeakMap<ChannelCredential, string>();

  function stateOf({ id, uid, generation }: ChannelRecord): ChannelState {
    const edition = `${uid}/${generation}`;
    const known = states.get(id);
    if (known?.edition === edition) return known;
    const fresh: ChannelState = { edition, breaker: closedBreaker, budget: makeRetryBudget(now()), credentials: new Map() };
    // an edited Channel keeps what was seen of credentials that it still has
    for (const [name, credential] of known?.credentials ?? []) fresh.credentials.set(name, credential);
    states.set(id, fresh);
    return fresh;
  }

  function hashOf(credential: ChannelCredential | undefined): string {
    if (credential === undefined) return '';
    let hash = hashes.get(credential);
    if (hash === undefined) {
      hash = sha256Hex(credential.secret.reveal());
      hashes.set(credential, hash);
    }
    return hash;
  }

  function credentialOf(state: ChannelState, credential: ChannelCredential | undefined): CredentialState {
    const name = credential?.name ?? '';
    const hash = hashOf(credential);
    const known = state.credentials.get(name);
    if (known?.hash === hash) return known;
    const fresh = { hash, health: wellCredential };
    state.credentials.set(name, fresh);
    return fresh;
  }

  function look({ channel, tenant, model, pinned }: HealthQuestion): Availability {
    const nowMs = now();
    const state = stateOf(channel);
    const breaker = stateOfBreaker(state.breaker, tenant, nowMs);
    if (breaker === 'open' || breaker === 'probing')
      return { block: { reason: 'circuitOpen', waitMs: waitOfBreaker(state.breaker, tenant, nowMs) } };
    const pool = poolOf(channel, pinned).map((credential) => ({
      credential,
      block: blockOf(credentialOf(state, credential).health, { model, tenant }, nowMs),
    }));
    const usable = pool.filter(({ block }) => block === undefined).map(({ credential }) => credential);
    if (usable.length > 0) return { credentials: usable };
    return { block: toChannelBlock(pool.flatMap(({ block }) => block ?? [])) };
  }

  function enter(question: HealthQuestion, credential: ChannelCredential | undefined): HealthEntry | undefined {
    const { channel, tenant, model } = question;
    const available = look(question);
    if ('block' in available || !available.credentials.includes(credential)) return undefined;
    const nowMs = now();
    const state = stateOf(channel);
    const own = credentialOf(state, credential);
    // no attempt outlasts its Channel's total time
    const untilMs = nowMs + channel.timeouts.totalMs;
    const isBreakerProbe = stateOfBreaker(state.breaker, tenant, nowMs) === 'halfOpen';
    if (isBreakerProbe) state.breaker = beginBreakerProbe(state.breaker, untilMs);
    const entered = enterCredential(own.health, { model, tenant }, untilMs);
    own.health = entered.health;
    return makeEntry({ state, own, tenant, model, rules: rulesOf(channel), now }, { isBreakerProbe, ...entered.probes });
  }

  return {
    look,
    enter,
    countRequest(channel) {
      const state = stateOf(channel);
      state.budget = depositRequest(state.budget, now());
    },
    mayRepeat(channel) {
      const state = stateOf(channel);
      const after = withdrawRetry(state.budget, now());
      if (after !== undefined) state.budget = after;
      return after !== undefined;
    },
    describe(channels) {
      const nowMs = now();
      const there = new Set(channels.map(({ id }) => id));
      for (const id of states.keys()) if (!there.has(id)) states.delete(id);
      return channels.map((channel) => {
        const state = stateOf(channel);
        const credentials = channel.credentials.map((credential) => ({
          name: credential.name,
          health: credentialOf(state, credential).health,
        }));
        return toView(channel.id, { breaker: state.breaker, credentials }, nowMs);
      });
    },
  };
}

/** One of weight 0 is never chosen, but what an account keeps is with that account alone, also when no new work is given to it. */
function poolOf({ credentials }: ChannelRecord, pinned: string | undefined): readonly (ChannelCredential | undefined)[] {
  if (credentials.length === 0) return [undefined];
  return credentials.filter(({ name, weight }) => (pinned === undefined ? weight > 0 : name === pinned));
}

function rulesOf({ circuitBreaker }: ChannelRecord): CircuitRules {
  const openMs = circuitBreaker?.openMs ?? breakerDefaults.openMs;
  // what a Channel says is what it gets: the time does not grow
  return { failuresToOpen: circuitBreaker?.consecutiveFailures ?? breakerDefaults.consecutiveFailures, openMs, longestOpenMs: openMs };
}

/** One that is throttled or has no quota left comes back by itself, so the channel is throttled and not broken; else what is over first. */
function toChannelBlock(blocks: readonly CredentialBlock[]): ChannelBlock {
  const throttled = blocks.filter(({ reason }) => reason === 'throttled' || reason === 'quotaSpent');
  const [first] = (throttled.length > 0 ? throttled : blocks).toSorted((left, right) => left.waitMs - right.waitMs);
  return first ?? { reason: 'credentialDead', waitMs: 1000 };
}

interface EntryParts {
  readonly state: ChannelState;
  readonly own: CredentialState;
  readonly tenant: string;
  readonly model: string;
  readonly rules: CircuitRules;
  readonly now: () => number;
}

function makeEntry(
  { state, own, tenant, model, rules, now }: EntryParts,
  begun: Probes & { readonly isBreakerProbe: boolean },
): HealthEntry {
  let { isBreakerProbe } = begun;
  let probes: Probes = begun;

  function endCredential(verdict: CredentialOutcome['verdict'], retryAfterMs?: number): void {
    own.health = recordOutcome(own.health, { model, tenant, probes, verdict, retryAfterMs, nowMs: now() });
    probes = noProbes;
  }

  function endBreaker(health: AttemptHealth): void {
    const isProbe = isBreakerProbe;
    isBreakerProbe = false;
    if (health.kind === 'answered') state.breaker = recordAnswer(state.breaker, { tenant, isProbe });
    else if (health.kind === 'noAnswer')
      state.breaker = recordNoAnswer(state.breaker, {
        tenant: health.isNobodysFault ? undefined : tenant,
        isProbe,
        rules,
        nowMs: now(),
      });
    else if (isProbe) state.breaker = dropBreakerProbe(state.breaker);
  }

  return {
    heard() {
      if (isBreakerProbe) endBreaker({ kind: 'answered', verdict: 'well' });
      endCredential('well');
    },
    end(health) {
      endBreaker(health);
      endCredential(health.kind === 'answered' ? health.verdict : undefined, health.kind === 'answered' ? health.retryAfterMs : undefined);
    },
  };
}

interface Seen {
  readonly breaker: ChannelBreaker;
  readonly credentials: readonly { readonly name: string; readonly health: CredentialHealth }[];
}

function toView(id: string, { breaker, credentials }: Seen, nowMs: number): ChannelHealthView {
  return {
    id,
    breaker: commonStateOf(breaker, nowMs),
    openForOneTenant: breaker.circuit.openUntilMs !== undefined && breaker.culprit !== undefined,
    waitMs: waitOfBreaker(breaker, breaker.culprit ?? '', nowMs),
    credentials: credentials.map(({ name, health }) => {
      const block = blockOf(health, { model: '', tenant: '' }, nowMs);
      const state = health.trouble ?? block?.reason ?? 'well';
      return { name, state, waitMs: block?.waitMs ?? 0, coolingModels: health.models.size };
    }),
  };
}
