import type { ServerResponse } from 'node:http';
import type { Refusal } from '../../core/refusals.ts';
import { toRefusalAnswer, toStreamRefusal } from '../../core/refusal-answer.ts';
import { boundFlush, toAnswerHeaders } from './answer.ts';
import { costHeader, type HeldAnswer, holdAnswer, toCostValue, wantsTrailers } from './cost-header.ts';
import type { Meter } from '../dialects/dialect.ts';
import { type Exchange, required } from '../exchange.ts';
import { firstValue, type ReceivedHeaders, toClientHeaders } from '../headers.ts';
import { toOutputBound } from '../reservations/output-bound.ts';
import { makeWholeEvents, noEvents, type WholeEvents } from '../streams/whole-events.ts';
import { cutAtFailure, type StreamFailure } from '../upstream/stream-failure.ts';

export interface ClientAnswerOptions {
  readonly exchange: Exchange;
  readonly status: number;
  /** as the provider sent them */
  readonly headers: ReceivedHeaders;
  /** the provider's body is coded, and the client gets it decoded */
  readonly isCoded: boolean;
  /** the provider's credential, which no header may quote */
  readonly credential: string | undefined;
  /** a usage chunk was asked for that the client does not expect */
  readonly withholdUsage: boolean;
}

/**
 * The client's side of one answer: its head, what is held back of it until the cost is known, and how it ends. Invariant: as long as `hasBegun` is false the client has seen
 * nothing, and a refusal can take the place of this answer.
 */
export class ClientAnswer {
  readonly #exchange: Exchange;
  readonly #response: ServerResponse;
  readonly #status: number;
  readonly #meter: Meter | undefined;
  readonly #isEventStream: boolean;
  /** comes bit by bit, as events or as the elements of a list */
  readonly isStream: boolean;
  readonly #events: WholeEvents;
  /** a short whole answer, until its cost is known */
  #held: HeldAnswer | undefined;
  #hasTrailer = false;
  /** of an answer whose first byte is still to come */
  #head: string[] | undefined;
  #failure: StreamFailure | undefined;

  constructor(options: ClientAnswerOptions) {
    const { exchange, status, headers } = options;
    this.#exchange = exchange;
    this.#response = exchange.response;
    this.#status = status;
    const contentType = firstValue(headers['content-type']) ?? '';
    this.#isEventStream = /^\s*text\/event-stream\b/i.test(contentType);
    const isList = status < 300 && exchange.surface.streamsList === true && /^\s*application\/json\b/i.test(contentType);
    this.isStream = this.#isEventStream || isList;
    this.#events = this.#isEventStream ? makeWholeEvents() : noEvents;
    this.#meter = status < 300 ? this.#openMeter(options) : undefined;
    const head = toClientHeaders(headers, options.credential);
    head.push(...this.#toFraming(options), ...toAnswerHeaders(exchange));
    this.#head = head;
    if (!this.isStream) return;
    this.#sendHead();
    // the first event may be a long time coming, and the client wants to know that it was let in
    this.#response.flushHeaders();
  }

  /** The provider ended the stream, but not what it had to say. */
  get isCutShort(): boolean {
    return this.#meter?.isCutShort?.() === true;
  }

  get hasBegun(): boolean {
    return this.#head === undefined;
  }

  /** The provider has told an error about its account, which the client was not shown: the answer is to be broken off. */
  get failure(): StreamFailure | undefined {
    return this.#failure;
  }

  /** What came and is not shown: it has to be paid for all the same. */
  count(chunk: Buffer): void {
    this.#meter?.push(chunk);
  }

  /** Gives true when the client is slower than the provider: it is to be waited for (`drain`). */
  write(chunk: Buffer): boolean {
    let isFull = false;
    let pieces = this.#meter?.push(chunk) ?? [chunk];
    if (this.#held !== undefined) {
      const released = this.#held.add(pieces);
      if (released === undefined) return false;
      this.#held = undefined;
      pieces = released;
    }
    this.#sendHead();
    for (const piece of this.#toShown(this.#events.push(pieces))) isFull = !this.#response.write(piece) || isFull;
    return isFull && this.#response.writableNeedDrain;
  }

  /** The provider's answer is complete; unless its last words are a `failure`. */
  end(): void {
    const rest = this.#meter?.end() ?? [];
    const last = this.#toShown([...this.#events.rest(), ...rest]);
    if (this.#failure !== undefined) return;
    const cost = toCostValue(this.#exchange);
    if (this.#held !== undefined && cost !== undefined) this.#head?.push(costHeader, cost);
    this.#sendHead();
    for (const piece of [...(this.#held?.take() ?? []), ...last]) this.#response.write(piece);
    if (this.#hasTrailer && cost !== undefined) this.#response.addTrailers({ [costHeader]: cost });
    this.#response.end();
    boundFlush(this.#response);
  }

  /** An answer that has begun cannot be completed: a stream says why, anything else is cut, so that nobody takes it for whole. */
  breakOff(refusal: Refusal): void {
    const rest = this.#isEventStream ? this.#toLastEvent(refusal) : this.#toLastElement(refusal);
    if (rest === undefined) this.#response.destroy();
    else this.#response.end(rest);
    boundFlush(this.#response);
  }

  /** Undefined: the list cannot be ended any more. */
  #toLastElement(refusal: Refusal): string | undefined {
    const { dialect, requestId } = this.#exchange;
    const element = toRefusalAnswer(refusal, dialect, requestId).body;
    // in the place of the one that was not shown
    return this.#failure === undefined ? this.#meter?.endWith?.(element) : `${element}]`;
  }

  #toLastEvent(refusal: Refusal): string {
    const { dialect, requestId } = this.#exchange;
    const form = { dialect, sequenceNumber: this.#failure?.sequenceNumber ?? this.#meter?.nextSequenceNumber?.() };
    return `\n\n${toStreamRefusal(refusal, form, requestId)}`;
  }

  /** What of it the client may see. */
  #toShown(pieces: readonly Buffer[]): readonly Buffer[] {
    const { channel } = this.#exchange;
    if (this.#failure !== undefined) return [];
    if (!this.isStream || channel === undefined) return pieces;
    const cut = cutAtFailure(channel.provider, this.#isEventStream ? 'events' : 'list', pieces);
    this.#failure = cut?.failure;
    return cut?.shown ?? pieces;
  }

  #openMeter({ withholdUsage, headers }: ClientAnswerOptions): Meter {
    const exchange = this.#exchange;
    const meter = required(exchange.driver).makeMeter({
      surface: exchange.surface,
      stream: this.#isEventStream,
      withholdUsage,
      headers,
      estimatedInputTokens: exchange.estimatedInputTokens,
      unseenOutputTokens: exchange.shape?.runsOn === true ? toOutputBound(exchange) : undefined,
      ...(exchange.shape === undefined ? {} : { shape: exchange.shape }),
    });
    exchange.meter = meter;
    return meter;
  }

  /** How the client learns of the end, and where of the cost: before a short whole answer, behind any other where the client takes that. */
  #toFraming({ headers, isCoded }: ClientAnswerOptions): readonly string[] {
    const exchange = this.#exchange;
    const contentLength = !isCoded && !this.isStream ? firstValue(headers['content-length']) : undefined;
    const isMetered = this.#meter !== undefined && exchange.prices.size > 0;
    if (isMetered) this.#held = holdAnswer(exchange, { contentType: firstValue(headers['content-type']), contentLength });
    this.#hasTrailer = isMetered && this.#held === undefined && wantsTrailers(exchange);
    // an answer with a length has no trailers (RFC 9112 section 7.1.2)
    if (this.#hasTrailer) return ['trailer', costHeader];
    return contentLength === undefined ? [] : ['content-length', contentLength];
  }

  #sendHead(): void {
    if (this.#head === undefined) return;
    this.#exchange.firstByteMs = performance.now() - this.#exchange.startedMs;
    this.#response.writeHead(this.#status, this.#head);
    this.#head = undefined;
  }
}
