import type { Transform } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Refusal } from '../../core/refusals.ts';
import type { ChannelCredential, ChannelRecord } from '../../core/snapshot.ts';
import { ClientAnswer } from '../answers/client-answer.ts';
import type { AttemptOutcome, FailureReason } from './attempt-outcome.ts';
import type { Exchange } from '../exchange.ts';
import { firstValue, type ReceivedHeaders } from '../headers.ts';
import type { Parts } from '../parts.ts';
import { makeTurns } from './in-turn.ts';
import { mayBeOfRequest } from './may-be-of-request.ts';
import { floorAt } from '../prices/price-request.ts';
import { type Coding, makeDecoder, parseCoding } from '../bodies/read-body.ts';
import type { AnswerKeeper, Kept } from '../stored-objects/answer-keeper.ts';
import type { KeeperOpener } from './keep-answers.ts';
import { maxErrorBytes, readRetryAfterMs, toUpstreamFailure, type UpstreamFailure } from '../upstream/upstream-failure.ts';

export interface AttemptOptions {
  readonly exchange: Exchange;
  readonly parts: Parts;
  readonly channel: ChannelRecord;
  readonly credential: ChannelCredential | undefined;
  readonly pool: Dispatcher;
  readonly request: Dispatcher.DispatchOptions;
  /** a usage chunk was asked for that the client does not expect */
  readonly withholdUsage: boolean;
  /** called when the head of a good answer is here */
  readonly onHeard: () => void;
  /** called with every piece of a stream */
  readonly onProgress: () => void;
  /** the provider has the whole request, and its answer goes to the client: it will not be sent again */
  readonly onTaken: () => void;
  /** undefined: nothing of the answer has to be noted before the client sees it */
  readonly openKeeper: KeeperOpener;
}

/** Sends one request to one provider and passes its answer on as it comes. Never rejects. */
export function runAttempt(options: AttemptOptions): Promise<AttemptOutcome> {
  return new Attempt(options).run();
}

type Phase =
  /** nothing of the answer is here */
  | 'waiting'
  /** an error answer is collected, to be looked at before the client may see it */
  | 'collecting'
  /** the client's answer has begun */
  | 'passing'
  | 'over';

type ErrorWithCode = Error & { readonly code?: string };

/**
 * The handler of one dispatch. Invariants: the outcome is given once; after `passing` began no further attempt is made; when the phase is `over` neither side is touched
 * again. Back-pressure goes both ways through `#pauseUpstream`.
 */
class Attempt implements Dispatcher.DispatchHandler {
  readonly #options: AttemptOptions;
  readonly #exchange: Exchange;
  readonly #result = Promise.withResolvers<AttemptOutcome>();
  readonly #dispatchedMs = performance.now();
  readonly #totalTimer: { cancel(): void };
  #phase: Phase = 'waiting';
  #controller: Dispatcher.DispatchController | undefined;
  /** the request was written to the socket as a whole */
  #sent = false;
  #status = 0;
  #headers: ReceivedHeaders = {};
  #coding: Coding | undefined;
  #decoder: Transform | undefined;
  #collected: Buffer[] = [];
  #collectedBytes = 0;
  /** from its beginning on nothing can be tried again */
  #answer: ClientAnswer | undefined;
  #keeper: AnswerKeeper | undefined;
  /** what goes on to the client, in order: something may have to be noted first */
  readonly #turns = makeTurns(() => this.#breakHere(brokenOff, 'gateway'));

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.#exchange = options.exchange;
    this.#totalTimer = options.parts.clock.after(options.channel.timeouts.totalMs, () => this.#timeOut());
  }

  run(): Promise<AttemptOutcome> {
    this.#exchange.interrupt = () => this.#interrupt();
    try {
      this.#options.pool.dispatch(this.#options.request, this);
    } catch (error) {
      this.#totalTimer.cancel();
      this.#exchange.interrupt = undefined;
      throw error;
    }
    return this.#result.promise;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#phase === 'over') controller.abort(new Error('no longer wanted'));
    else this.#exchange.sentUpstream = true;
  }

  onRequestSent(): void {
    this.#sent = true;
    if (this.#phase === 'passing') this.#options.onTaken();
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: ReceivedHeaders): void {
    if (status < 200 || this.#phase !== 'waiting') return;
    this.#exchange.upstreamMs += performance.now() - this.#dispatchedMs;
    this.#status = status;
    this.#headers = headers;
    const coding = parseCoding(firstValue(headers['content-encoding']));
    // what cannot be decoded cannot be metered, and so is no answer
    if (coding === undefined) {
      if (status < 300) this.#chargeInput();
      return this.#fail('serverError');
    }
    if (coding !== 'identity') this.#coding = coding;
    if (status >= 300) this.#phase = 'collecting';
    else this.#begin();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#phase === 'over') return;
    if (this.#coding === undefined) return this.#take(chunk);
    this.#decoder ??= this.#openDecoder(this.#coding, chunk);
    if (!this.#decoder.write(chunk)) {
      this.#controller?.pause();
      this.#decoder.once('drain', () => this.#controller?.resume());
    }
  }

  onResponseEnd(): void {
    if (this.#decoder === undefined) this.#finish();
    else this.#decoder.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: ErrorWithCode): void {
    if (this.#phase === 'over') return;
    if (this.#phase === 'waiting') this.#exchange.upstreamMs += performance.now() - this.#dispatchedMs;
    const isTimeout = error.code === 'UND_ERR_HEADERS_TIMEOUT' || error.code === 'UND_ERR_BODY_TIMEOUT';
    // behind what is held of the answer, which may hold its usage
    if (this.#phase === 'passing') return this.#passOn({ pieces: [] }, () => this.#breakOff(isTimeout ? timedOut : brokenOff));
    // its status says more than that its body was cut
    if (this.#phase === 'collecting') return this.#judge({ isCut: true });
    if (isTimeout) return this.#fail('Timeout');
    this.#fail(this.#sent ? 'Reset' : 'ConnectFailure');
  }

  /** The next decoded bytes of the answer. */
  #take(chunk: Buffer): void {
    if (this.#phase === 'passing') return this.#pass(chunk);
    if (this.#phase !== 'collecting') return;
    this.#collected.push(chunk);
    this.#collectedBytes += chunk.length;
    if (this.#collectedBytes > maxErrorBytes) this.#judge();
  }

  #finish(): void {
    if (this.#phase === 'collecting') this.#judge();
    if (this.#phase === 'passing') this.#passOn(this.#keeper?.end() ?? { pieces: [] }, () => this.#end());
  }

  #end(): void {
    if (this.#answer?.isCutShort === true) return this.#breakOff(brokenOff);
    this.#answer?.end();
    if (this.#breaksAtFailure()) return;
    this.#count('ok');
    this.#close({ outcome: 'answered', end: this.#status < 300 ? 'well' : 'requestFault' });
  }

  /** An error answer: does it go to the client, or is it about us? */
  #judge({ isCut = false } = {}): void {
    const body = Buffer.concat(this.#collected);
    this.#collected = [];
    const answer = { status: this.#status, body, retryAfterMs: this.#toRetryAfterMs() };
    const { verdict, ...told } = toUpstreamFailure(this.#options.channel.provider, answer);
    const ofRequest = told.ofRequest || mayBeOfRequest(this.#exchange, verdict);
    if (verdict !== 'requestFault') return this.#fail(verdict, { ...told, ofRequest });
    if (isCut) return this.#fail('Reset');
    this.#begin();
    this.#pass(body);
  }

  /** From here on the client has an answer of this channel. */
  #begin(): void {
    const { exchange, channel, credential, withholdUsage, onHeard, openKeeper } = this.#options;
    this.#phase = 'passing';
    if (this.#status < 300) onHeard();
    exchange.channel = channel;
    if (this.#sent) this.#options.onTaken();
    this.#answer = new ClientAnswer({
      exchange,
      status: this.#status,
      headers: this.#headers,
      isCoded: this.#coding !== undefined,
      credential: credential?.secret.reveal(),
      withholdUsage,
    });
    if (this.#status < 300) this.#keeper = openKeeper?.(this.#answer.isStream);
  }

  #pass(chunk: Buffer): void {
    this.#passOn(this.#keeper?.take(chunk) ?? { pieces: [chunk] });
  }

  /** What shows the id of a kept object goes on when it is noted whose it is; until then the provider waits, and so does all that comes after. */
  #passOn({ pieces, unseen = [], noted }: Kept, then?: () => void): void {
    const source = noted === undefined ? undefined : (this.#decoder ?? this.#controller);
    source?.pause();
    this.#turns.run(noted, (refusal) => {
      if (this.#phase !== 'passing') return;
      this.#countUnseen(unseen);
      if (refusal !== undefined) return this.#breakUnseen(refusal, pieces);
      const isSlow = pieces.map((piece) => this.#answer?.write(piece)).includes(true);
      if (this.#breaksAtFailure()) return;
      if (pieces.length > 0 && this.#answer?.isStream === true) this.#options.onProgress();
      if (isSlow) this.#pauseUpstream();
      else source?.resume();
      then?.();
    });
  }

  /** Nobody will be shown it, and it has to be paid for all the same. */
  #countUnseen(pieces: readonly Buffer[]): void {
    for (const piece of pieces) this.#answer?.count(piece);
  }

  /** The provider has told of its account in the middle of an answer: the client hears that it ends, and the credential is known for it. */
  #breaksAtFailure(): boolean {
    const failure = this.#answer?.failure;
    if (failure === undefined) return false;
    const { verdict, retryAfterMs } = failure;
    this.#exchange.abortedBy ??= 'upstream';
    this.#count(verdict);
    this.#answer?.breakOff(verdict === 'throttled' || verdict === 'quotaSpent' ? throttled : brokenOff);
    const ofRequest = failure.ofRequest || mayBeOfRequest(this.#exchange, verdict);
    this.#close({ outcome: 'answered', end: 'broken', failed: { outcome: 'failed', reason: verdict, retryAfterMs, ofRequest } });
    this.#abort();
    return true;
  }

  #breakUnseen(refusal: Refusal, pieces: readonly Buffer[]): void {
    // the usage of a whole answer is in it; a stream's comes with an event that shows no new id
    if (this.#answer?.isStream === false) this.#countUnseen(pieces);
    this.#breakHere(refusal, 'gateway');
  }

  #breakHere(refusal: Refusal, side: 'gateway'): void {
    if (this.#phase !== 'passing') return;
    this.#breakOff(refusal, side);
    this.#abort();
  }

  /** The client is slower than the provider: nothing is read until the client has caught up. */
  #pauseUpstream(): void {
    const source = this.#decoder ?? this.#controller;
    source?.pause();
    this.#exchange.response.once('drain', () => source?.resume());
  }

  #openDecoder(coding: Coding, start: Buffer): Transform {
    const decoder = makeDecoder(coding, start);
    // undici turns a bug of ours into an error of this attempt, and so does this: thrown in an event handler it would end the process
    const guard = (step: () => void): void => {
      try {
        step();
      } catch (error) {
        decoder.destroy(error as Error);
      }
    };
    decoder.on('data', (chunk: Buffer) => guard(() => this.#take(chunk)));
    decoder.on('end', () => guard(() => this.#finish()));
    decoder.on('error', () => {
      if (this.#phase === 'passing') this.#breakOff(brokenOff);
      else this.#fail('serverError');
      this.#abort();
    });
    return decoder;
  }

  /** The total time is over. */
  #timeOut(): void {
    if (this.#phase === 'over') return;
    if (this.#phase === 'passing') this.#breakOff(timedOut, 'time');
    else this.#fail('Timeout');
    this.#abort();
  }

  /** The client is gone, or the gateway ends the request. */
  #interrupt(): void {
    if (this.#phase === 'over') return;
    const { ended } = this.#exchange;
    if (this.#phase === 'passing') {
      if (this.#exchange.gone || ended === undefined) this.#close({ outcome: 'answered', end: 'cut' });
      else this.#breakOff(ended, 'gateway');
    } else {
      this.#chargeInput();
      this.#close({ outcome: 'interrupted' });
    }
    this.#count('interrupted');
    this.#abort();
  }

  /** Of an answer that has begun the client hears why it ends; of any other it gets a refusal. */
  #breakOff(refusal: Refusal, by: 'upstream' | 'gateway' | 'time' = 'upstream'): void {
    this.#exchange.abortedBy ??= by === 'gateway' ? 'gateway' : 'upstream';
    if (by !== 'gateway') this.#count(refusal === timedOut ? 'timeout' : 'broken');
    const end = by === 'upstream' ? 'broken' : 'cut';
    if (this.#answer?.hasBegun !== true) return this.#close({ outcome: 'refused', refusal, end });
    this.#answer.breakOff(refusal);
    this.#close({ outcome: 'answered', end });
  }

  #fail(reason: FailureReason, told: Partial<UpstreamFailure> = {}): void {
    if (reason === 'Timeout' || reason === 'Reset') this.#chargeInput();
    this.#count(reason);
    this.#close({
      outcome: 'failed',
      reason,
      retryAfterMs: told.retryAfterMs ?? this.#toRetryAfterMs(),
      ofRequest: told.ofRequest === true,
      isNobodysFault: this.#controller === undefined,
    });
    this.#abort();
  }

  #toRetryAfterMs(): number | undefined {
    return readRetryAfterMs(this.#headers, this.#options.parts.clock.now());
  }

  /** The provider has the request and may bill it, although its answer is given up. */
  #chargeInput(): void {
    if (!this.#sent) return;
    const { prices, estimatedInputTokens, shape } = this.#exchange;
    this.#exchange.abandonedTokens += estimatedInputTokens;
    this.#exchange.abandonedNanoUsd += floorAt(prices, this.#options.channel.id, estimatedInputTokens, shape?.counts?.characters);
  }

  #close(outcome: AttemptOutcome): void {
    this.#phase = 'over';
    this.#countUnseen(this.#keeper?.drop() ?? []);
    this.#totalTimer.cancel();
    this.#exchange.interrupt = undefined;
    this.#result.resolve(outcome);
  }

  #abort(): void {
    this.#decoder?.destroy();
    // before the request has started there is nothing to abort yet; onRequestStart does it then
    this.#controller?.abort(new Error('no longer wanted'));
  }

  #count(outcome: string): void {
    const { parts, channel, credential } = this.#options;
    parts.metrics.upstreamRequests.inc({ channel: channel.id, credential: credential?.name ?? '', outcome });
  }
}

const brokenOff: Refusal = { code: 'upstream_unavailable', message: 'The provider broke off its answer.' };
const throttled: Refusal = {
  code: 'upstream_rate_limited',
  message: 'The provider is rate limited and broke off its answer.',
  unit: 'requests',
};
const timedOut: Refusal = { code: 'upstream_timeout', message: 'The provider did not go on with its answer in time.' };
