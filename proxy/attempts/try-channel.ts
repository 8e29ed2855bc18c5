import { type Candidate, chooseCredential } from '../../core/route.ts';
import type { ChannelCredential, ChannelRecord } from '../../core/snapshot.ts';
import type { AttemptOutcome, FailedAttempt, FailureReason } from './attempt-outcome.ts';
import { toAttemptHealth } from './attempt-health.ts';
import { maxAttempts } from './most-attempts.ts';
import type { AttemptHealth, HealthEntry, HealthQuestion } from '../channels/channel-health.ts';
import { withinChannelLimits } from './channel-limits.ts';
import { type Exchange, required } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { namespaceOf } from '../../core/namespace-of.ts';

export interface ChannelTry {
  readonly exchange: Exchange;
  readonly parts: Parts;
  readonly candidate: Candidate;
  /** `onHeard` is called when the head of a good answer is here */
  readonly send: (credential: ChannelCredential | undefined, onHeard: () => void) => Promise<AttemptOutcome>;
}

/** What a request wants of a channel, as its health knows it. */
export function toHealthQuestion(
  { key, surface, pinnedCredential: pinned }: Exchange,
  { channel, upstreamModel = '' }: Candidate,
): HealthQuestion {
  return { channel, tenant: namespaceOf(required(key).record.id), model: `${surface.name} ${upstreamModel}`, pinned };
}

/** Makes the attempts that one channel gets of a request. Gives the last outcome; undefined if there was none: it is cooling down, or somebody else tries it out. */
export async function tryChannel(asked: ChannelTry): Promise<AttemptOutcome | undefined> {
  const { exchange, candidate } = asked;
  const { channel } = candidate;
  const spent = new Set<ChannelCredential | undefined>();
  let last: AttemptOutcome | undefined;
  for (let left = channel.retries.attempts; left >= 0 && exchange.attempts < maxAttempts; left -= 1) {
    const chosen = choose(asked, spent);
    if (chosen === undefined) return last;
    if (last !== undefined && !mayRepeat(asked, last)) {
      chosen.entry.end({ kind: 'notAsked' });
      return last;
    }
    const before = exchange.attempts;
    const isFirst = last === undefined;
    last = await watch(chosen.entry, () => attemptWith(asked, chosen));
    if (isFirst && exchange.attempts > before) asked.parts.health.countRequest(channel);
    if (last.outcome !== 'failed' || !isWorthAnother(last, channel)) return last;
    // what is wrong with a credential is not better a moment later
    if (isAboutCredential(last.reason)) spent.add(chosen.credential);
  }
  return last;
}

/** A request that ran into a time-out may still be running at the provider: it is sent again only where the Channel says so. */
export function mayMoveOn({ reason }: FailedAttempt, channel: ChannelRecord): boolean {
  return reason !== 'Timeout' || channel.retries.on.includes('Timeout');
}

interface Chosen {
  readonly credential: ChannelCredential | undefined;
  /** whoever has it has to end it */
  readonly entry: HealthEntry;
}

function choose({ exchange, parts, candidate }: ChannelTry, spent: ReadonlySet<ChannelCredential | undefined>): Chosen | undefined {
  const question = toHealthQuestion(exchange, candidate);
  const available = parts.health.look(question);
  if ('block' in available) return undefined;
  const left = available.credentials.filter((credential) => !spent.has(credential));
  if (left.length === 0) return undefined;
  const pool = left.filter((each) => each !== undefined);
  const credential = question.pinned === undefined ? chooseCredential(pool, parts.random) : pool[0];
  const entry = parts.health.enter(question, credential);
  return entry === undefined ? undefined : { credential, entry };
}

function attemptWith({ exchange, parts, candidate, send }: ChannelTry, { credential, entry }: Chosen): Promise<AttemptOutcome> {
  return withinChannelLimits(exchange, parts, candidate.channel, () => send(credential, () => entry.heard()));
}

/** However the attempt ends, a bug included, what it was trying out is free again. */
async function watch(entry: HealthEntry, run: () => Promise<AttemptOutcome>): Promise<AttemptOutcome> {
  let health: AttemptHealth = { kind: 'notAsked' };
  try {
    const outcome = await run();
    health = toAttemptHealth(outcome);
    return outcome;
  } finally {
    entry.end(health);
  }
}

/** A repetition puts the same load on the provider once more, so there is a budget for it. Another credential after a no to the first one is none. */
function mayRepeat({ parts, candidate: { channel } }: ChannelTry, last: AttemptOutcome): boolean {
  const isOtherCredential = last.outcome === 'failed' && isAboutCredential(last.reason) && last.reason !== 'throttled';
  if (isOtherCredential || parts.health.mayRepeat(channel)) return true;
  parts.metrics.upstreamRetriesWithheld.inc({ channel: channel.id });
  return false;
}

const retryNames: Partial<Record<FailureReason, ChannelRecord['retries']['on'][number]>> = {
  ConnectFailure: 'ConnectFailure',
  Reset: 'Reset',
  Timeout: 'Timeout',
  throttled: 'RateLimited',
  serverError: 'ServerError',
};

/** Another attempt at the same channel: what its Channel lists, or with another of its credentials when one is the trouble. */
function isWorthAnother({ reason }: FailedAttempt, channel: ChannelRecord): boolean {
  const name = retryNames[reason];
  return name === undefined ? isAboutCredential(reason) : channel.retries.on.includes(name);
}

const aboutCredential: ReadonlySet<FailureReason> = new Set([
  'credentialDead',
  'accountBroke',
  'modelForbidden',
  'modelUnknown',
  'throttled',
  'quotaSpent',
]);

function isAboutCredential(reason: FailureReason): boolean {
  return aboutCredential.has(reason);
}
