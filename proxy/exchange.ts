import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CompiledKey } from '../core/authorize.ts';
import type { Prompt } from '../core/estimate.ts';
import type { Cost } from '../core/price.ts';
import type { Dialect, Refusal } from '../core/refusals.ts';
import type { Candidate } from '../core/route.ts';
import type { Secret } from '../core/secret.ts';
import type { ChannelRecord, CredentialEntry } from '../core/snapshot.ts';
import type { Usage } from '../core/usage.ts';
import type { RequestBody } from './bodies/request-body.ts';
import type { Admission } from './counters/counters.ts';
import type { Meter, PathParameters, RequestShape, Surface, SurfaceDriver } from './dialects/dialect.ts';
import type { PriceFields } from './dialects/price-fields.ts';
import type { PricedRequest, RequestPrices } from './prices/price-request.ts';
import type { Target } from './intake/target.ts';

/** Nginx' number for a client that hung up before it was answered; it is only told, never sent. */
export const clientClosedRequest = 499;

/**
 * One request on its way through the stages. What is known from the start is read-only; the rest is filled in, each field by the one stage named beside it.
 */
export interface Exchange {
  readonly requestId: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
  readonly surface: Surface;
  readonly parameters: PathParameters;
  /** undefined where the gateway answers by itself */
  readonly driver: SurfaceDriver | undefined;
  readonly dialect: Dialect;
  readonly clientAddress: string;
  /** monotonic milliseconds */
  readonly startedMs: number;
  /** headers that every answer to this request carries, whoever writes it */
  readonly answerHeaders: string[];

  /** authenticate; dropped at the end */
  presentedKey: Secret | undefined;
  key: CompiledKey | undefined;
  credential: CredentialEntry | undefined;

  /** authorize; forward lets go of it as soon as nobody will send it again */
  body: RequestBody | undefined;
  releaseBody: (() => void) | undefined;
  shape: RequestShape | undefined;
  prompt: Prompt | undefined;
  /** read before the body was shrunk */
  priceFields: PriceFields;
  /** that admit the key's namespace, and of those the ones that the request asks for */
  eligible: readonly ChannelRecord[];
  candidates: readonly Candidate[];

  /** locate: the one credential that may be used, where the request points to what its account keeps; `''` = the upstream needs none */
  pinnedCredential: string | undefined;

  /** admit: what the request costs at each of its channels; not changed any more */
  prices: RequestPrices;
  /** admit: the most that it may cost, and its estimated input, at the dearest of its channels; undefined for what costs nothing */
  costBounds: Pick<PricedRequest, 'boundNanoUsd' | 'floorNanoUsd'> | undefined;
  /** admit: set while a reservation is held, taken away by settle */
  admission: Admission | undefined;
  estimatedInputTokens: number;
  /** the store's clock at admission */
  limiterTimeMs: number | undefined;
  degraded: boolean;

  /** route: in the order in which they are tried */
  plan: readonly Candidate[];

  /** forward */
  attempts: number;
  /** what the attempt under way holds of its Channel's limits, and what was abandoned before it */
  channelAdmission: { readonly admission: Admission; readonly tokensBefore: number } | undefined;
  /** the channel whose answer is shown */
  channel: ChannelRecord | undefined;
  /** a byte of the request may have reached a provider */
  sentUpstream: boolean;
  meter: Meter | undefined;
  /** input of attempts that were given up after the provider had the request: it may bill them */
  abandonedTokens: number;
  /** what that input costs */
  abandonedNanoUsd: number;
  /** time spent waiting for first bytes of upstreams */
  upstreamMs: number;
  firstByteMs: number | undefined;
  abortedBy: 'client' | 'upstream' | 'gateway' | undefined;

  /** settle */
  usage: Usage | undefined;
  /** what it has cost; undefined until then, and for what costs nothing anywhere (lists of models) */
  cost: Cost | undefined;
  settled: boolean;
  lastRenewMs: number;
  lastRenewTokens: number;
  lastRenewNanoUsd: number;

  /** the client hung up */
  gone: boolean;
  /** why the gateway itself ends this request (its key was revoked, the process stops) */
  ended: Refusal | undefined;
  /** stops what runs at the moment; set by forward */
  interrupt: (() => void) | undefined;
}

export type NewExchange = Pick<
  Exchange,
  'requestId' | 'request' | 'response' | 'target' | 'surface' | 'parameters' | 'driver' | 'dialect' | 'clientAddress' | 'startedMs'
> & {
  readonly answerHeaders: readonly string[];
};

export function makeExchange(given: NewExchange): Exchange {
  return {
    ...given,
    answerHeaders: [...given.answerHeaders],
    presentedKey: undefined,
    key: undefined,
    credential: undefined,
    body: undefined,
    releaseBody: undefined,
    shape: undefined,
    prompt: undefined,
    priceFields: {},
    eligible: [],
    candidates: [],
    pinnedCredential: undefined,
    prices: new Map(),
    costBounds: undefined,
    admission: undefined,
    estimatedInputTokens: 0,
    limiterTimeMs: undefined,
    degraded: false,
    plan: [],
    attempts: 0,
    channelAdmission: undefined,
    channel: undefined,
    sentUpstream: false,
    meter: undefined,
    abandonedTokens: 0,
    abandonedNanoUsd: 0,
    upstreamMs: 0,
    firstByteMs: undefined,
    abortedBy: undefined,
    usage: undefined,
    cost: undefined,
    settled: false,
    lastRenewMs: given.startedMs,
    lastRenewTokens: 0,
    lastRenewNanoUsd: 0,
    gone: false,
    ended: undefined,
    interrupt: undefined,
  };
}

/** Ends a running request from our side; forward writes the refusal into a stream that has begun. The first reason stays. */
export function endExchange(exchange: Exchange, refusal: Refusal): void {
  if (exchange.ended !== undefined || exchange.gone) return;
  exchange.ended = refusal;
  exchange.interrupt?.();
}

/** The client hung up before its answer was complete. */
export function abandonExchange(exchange: Exchange): void {
  if (exchange.gone) return;
  exchange.gone = true;
  exchange.abortedBy ??= 'client';
  exchange.interrupt?.();
}

/** A stage got here only through the ones before it; that their fields are missing would be a bug. */
export function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a stage ran before the one that fills in what it needs');
  return value;
}
