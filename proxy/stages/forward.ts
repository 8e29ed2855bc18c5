import type { Dispatcher } from 'undici';
import type { Refusal } from '../../core/refusals.ts';
import { type Candidate, chooseCredential } from '../../core/route.ts';
import type { ChannelCredential, ChannelRecord } from '../../core/snapshot.ts';
import { maxAttempts } from '../attempts.ts';
import { makeOutgoingBody, type OutgoingBody, toDispatched } from '../bodies/outgoing-body.ts';
import { type AttemptOutcome, type FailedAttempt, type FailureReason, runAttempt } from '../attempt.ts';
import { withinChannelLimits } from '../channel-limits.ts';
import { type Exchange, required } from '../exchange.ts';
import { toUpstreamHeaders } from '../headers.ts';
import type { Parts } from '../parts.ts';
import { renewWhenDue } from '../renewal.ts';
import { forgetDeleted, toKeeperOpener } from '../stored-objects/keep-answers.ts';
import type { Upstream } from '../upstream.ts';
import { toUpstreamPath } from '../upstream-path.ts';

/** A throttle that does not say for how long. */
const unknownThrottleMs = 1000;

/**
 * Stage 5: sends the client's own bytes, spliced only where needed, to one channel after another until one answers. Another attempt is made only while nothing has
 * reached the client. Refuses when every channel failed.
 */
export async function forward(exchange: Exchange, parts: Parts): Promise<Refusal | undefined> {
  const failures: FailedAttempt[] = [];
  for (const candidate of exchange.plan) {
    const outcome = await tryChannel(exchange, parts, candidate);
    if (outcome === undefined) continue;
    if (outcome.outcome === 'answered') return forgetDeleted(exchange, parts);
    if (outcome.outcome === 'interrupted') return exchange.ended;
    if (outcome.outcome === 'refused') return outcome.refusal;
    failures.push(outcome);
    if (exchange.attempts >= maxAttempts || !mayMoveOn(outcome, candidate.channel)) break;
  }
  return toRefusal(failures);
}

/** The channel's last outcome; undefined if there was no attempt (its pool of credentials has none to use). */
async function tryChannel(exchange: Exchange, parts: Parts, candidate: Candidate): Promise<AttemptOutcome | undefined> {
  const { channel } = candidate;
  const upstream = parts.upstreams.find(channel);
  if (upstream === undefined) return { outcome: 'failed', reason: 'ConnectFailure', retryAfterMs: undefined };
  const body = toBody(exchange, candidate);
  let unused: readonly ChannelCredential[] = toUsable(exchange, channel);
  let last: AttemptOutcome | undefined;
  for (let left = channel.retries.attempts; left >= 0 && exchange.attempts < maxAttempts; left -= 1) {
    const credential = chooseCredential(unused, parts.random);
    if (credential === undefined && channel.credentials.length > 0) return last;
    last = await withinChannelLimits(exchange, parts, channel, () => attempt(exchange, parts, candidate, { upstream, credential, body }));
    if (last.outcome !== 'failed' || !isWorthAnother(last, channel)) return last;
    // what is wrong with a credential is not better a moment later
    if (isAboutCredential(last.reason)) unused = unused.filter((other) => other !== credential);
  }
  return last;
}

/** What an account keeps is with that account alone, also when no new work is given to it (a weight of 0). */
function toUsable({ pinnedCredential }: Exchange, { credentials }: ChannelRecord): readonly ChannelCredential[] {
  if (pinnedCredential === undefined) return credentials;
  return credentials.filter(({ name }) => name === pinnedCredential).map((credential) => ({ ...credential, weight: 1 }));
}

function attempt(exchange: Exchange, parts: Parts, candidate: Candidate, ready: Ready): Promise<AttemptOutcome> {
  const { channel } = candidate;
  exchange.attempts += 1;
  if (exchange.attempts > 1) parts.metrics.upstreamRetries.inc({ channel: channel.id });
  return runAttempt({
    exchange,
    parts,
    channel,
    credential: ready.credential,
    pool: ready.upstream.pool,
    request: toRequest(exchange, candidate, ready),
    withholdUsage: required(exchange.driver).withholdsUsage(exchange.surface, required(exchange.shape)),
    onProgress: () => renewWhenDue(exchange, parts, performance.now()),
    openKeeper: toKeeperOpener(exchange, parts, { channelId: channel.id, credential: ready.credential?.name ?? '' }),
    onTaken: () => letGo(exchange, ready.body),
  });
}

/** The provider has all of it and answers: a stream may run for an hour, and its request need not be held so long. */
function letGo(exchange: Exchange, body: OutgoingBody | undefined): void {
  // undici keeps a Buffer until the answer has ended, so that a small body is held, and counted, until then
  if (body === undefined || body.small !== undefined) return;
  body.drop();
  exchange.body = undefined;
  exchange.releaseBody?.();
}

function toBody(exchange: Exchange, { upstreamModel }: Candidate): OutgoingBody | undefined {
  const { driver, surface } = exchange;
  if (surface.body === 'none') return undefined;
  const body = required(exchange.body);
  const splices = required(driver).spliceFor({ surface, shape: required(exchange.shape), body: body.value, upstreamModel });
  return makeOutgoingBody(body.splice(splices));
}

interface Ready {
  readonly upstream: Upstream;
  readonly credential: ChannelCredential | undefined;
  readonly body: OutgoingBody | undefined;
}

function toRequest(
  exchange: Exchange,
  { channel, upstreamModel }: Candidate,
  { upstream, credential, body }: Ready,
): Dispatcher.DispatchOptions {
  return {
    origin: upstream.origin,
    path: toUpstreamPath({
      channel,
      prefix: upstream.pathPrefix,
      surface: exchange.surface,
      parameters: exchange.parameters,
      upstreamModel,
      query: exchange.target.query,
    }),
    method: exchange.surface.method,
    headers: withLength(
      body,
      toUpstreamHeaders({
        client: exchange.request.rawHeaders,
        presentedKey: required(exchange.presentedKey).reveal(),
        channel,
        credential: credential?.secret.reveal(),
        dialect: exchange.dialect,
        contentType: exchange.body?.contentType,
      }),
    ),
    ...(body === undefined ? {} : { body: toDispatched(body) }),
    // undici's own timers: none of ours per chunk
    headersTimeout: channel.timeouts.firstByteMs,
    bodyTimeout: channel.timeouts.idleMs,
  };
}

/** undici knows the length of a Buffer, but not of what comes in pieces. */
function withLength(body: OutgoingBody | undefined, headers: string[]): string[] {
  if (body !== undefined) headers.push('content-length', String(body.length));
  return headers;
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

/** A request that ran into a time-out may still be running at the provider: it is sent again only where the Channel says so. */
function mayMoveOn({ reason }: FailedAttempt, channel: ChannelRecord): boolean {
  return reason !== 'Timeout' || channel.retries.on.includes('Timeout');
}

function isAboutCredential(reason: FailureReason): boolean {
  return reason === 'credentialDead' || reason === 'accountBroke' || reason === 'modelForbidden' || reason === 'throttled';
}

/** `failures` holds the last outcome of each channel that was tried. */
function toRefusal(failures: readonly FailedAttempt[]): Refusal {
  if (failures.length > 0 && failures.every(({ reason }) => reason === 'throttled' || reason === 'channelFull')) {
    const retryAfterMs = Math.min(...failures.map((failure) => failure.retryAfterMs ?? unknownThrottleMs));
    return {
      code: 'upstream_rate_limited',
      message: 'The providers of this model are rate limited. Try again later.',
      unit: 'requests',
      retryAfterMs,
    };
  }
  if (failures.length > 0 && failures.every(({ reason }) => reason === 'limiterAway'))
    return { code: 'limiter_unavailable', message: 'The limits of the Channels cannot be checked at this moment.', retryAfterMs: 1000 };
  if (failures.at(-1)?.reason === 'Timeout') return { code: 'upstream_timeout', message: 'The provider did not answer in time.' };
  return { code: 'upstream_unavailable', message: 'No provider of this model can be reached at this moment.' };
}
