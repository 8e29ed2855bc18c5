import type { Dispatcher } from 'undici';
import type { Refusal } from '../../core/refusals.ts';
import type { Candidate } from '../../core/route.ts';
import type { ChannelCredential } from '../../core/snapshot.ts';
import { maxAttempts } from '../attempts/most-attempts.ts';
import { makeOutgoingBody, type OutgoingBody, toDispatched } from '../bodies/outgoing-body.ts';
import type { AttemptOutcome, FailedAttempt } from '../attempts/attempt-outcome.ts';
import { runAttempt } from '../attempts/attempt.ts';
import { tellsUsageUnasked } from '../dialects/openai/stream-usage.ts';
import { type Exchange, required } from '../exchange.ts';
import { toUpstreamHeaders } from '../headers.ts';
import { toNoAnswer } from '../attempts/no-answer.ts';
import type { Parts } from '../parts.ts';
import { renewWhenDue } from '../reservations/renewal.ts';
import { toAccountSplices } from '../attempts/shared-account.ts';
import { forgetDeleted, toKeeperOpener } from '../attempts/keep-answers.ts';
import { mayMoveOn, tryChannel } from '../attempts/try-channel.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { toUpstreamPath } from '../upstream/upstream-path.ts';

/**
 * Stage 5: sends the client's own bytes, spliced only where needed, to one channel after another until one answers. Another attempt is made only while nothing has
 * reached the client. Refuses when every channel failed.
 */
export async function forward(exchange: Exchange, parts: Parts): Promise<Refusal | undefined> {
  const failures = new Map<Candidate, FailedAttempt>();
  for (const candidate of exchange.plan) {
    // the client may have gone, or the key have ended, while the counters of a channel that turned out to be full were asked
    if (exchange.gone || exchange.ended !== undefined) return exchange.ended;
    const outcome = await sendTo(exchange, parts, candidate);
    if (outcome === undefined) continue;
    if (outcome.outcome === 'answered') return forgetDeleted(exchange, parts);
    if (outcome.outcome === 'interrupted') return exchange.ended;
    if (outcome.outcome === 'refused') return outcome.refusal;
    failures.set(candidate, outcome);
    if (exchange.attempts >= maxAttempts || !mayMoveOn(outcome, candidate.channel)) break;
  }
  return toNoAnswer(exchange, parts, failures);
}

/** The channel's last outcome; undefined if there was no attempt. */
async function sendTo(exchange: Exchange, parts: Parts, candidate: Candidate): Promise<AttemptOutcome | undefined> {
  const upstream = parts.upstreams.find(candidate.channel);
  if (upstream === undefined) return { outcome: 'failed', reason: 'ConnectFailure', retryAfterMs: undefined };
  const body = toBody(exchange, candidate);
  return tryChannel({
    exchange,
    parts,
    candidate,
    send: (credential, onHeard) => attempt(exchange, parts, candidate, { upstream, credential, body, onHeard }),
  });
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
    onHeard: ready.onHeard,
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

function toBody(exchange: Exchange, { channel, upstreamModel }: Candidate): OutgoingBody | undefined {
  const { driver, surface } = exchange;
  if (surface.body === 'none') return undefined;
  const body = required(exchange.body);
  const splices = required(driver).spliceFor({
    surface,
    shape: required(exchange.shape),
    body: body.value,
    upstreamModel,
    tellsUsageUnasked: tellsUsageUnasked(channel.baseUrl),
  });
  return makeOutgoingBody(body.splice([...splices, ...toAccountSplices(exchange, channel, body.value)]));
}

interface Ready {
  readonly upstream: Upstream;
  readonly credential: ChannelCredential | undefined;
  readonly body: OutgoingBody | undefined;
  readonly onHeard: () => void;
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
