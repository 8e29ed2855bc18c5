import type { Prompt } from '../../core/estimate.ts';
import type { Dialect, Refusal } from '../../core/refusals.ts';
import type { Scope } from '../../core/snapshot.ts';
import type { Usage } from '../../core/usage.ts';
import type { JsonBody } from '../json-scan.ts';
import type { PriceFields } from './price-fields.ts';

/** One path that clients may call. */
export interface Surface {
  readonly name: string;
  readonly method: 'GET' | 'POST';
  /** as the router writes it */
  readonly path: string;
  readonly dialect: Dialect;
  readonly scope: Scope;
  readonly operation: 'chat' | 'count_tokens' | 'embeddings' | 'models' | 'model' | 'key';
  /** what follows a channel's base URL; made from this table, never from what the client sent; empty where no provider is asked */
  readonly upstreamPath: string;
  /** whether it uses tokens that are counted */
  readonly metered: boolean;
  /** query parameters that go on to the provider */
  readonly allowedQuery: readonly string[];
}

/** What the pipeline has to know of a request's body. */
export interface RequestShape {
  readonly model: string | undefined;
  /** every further model that the request names (`models[]`, `tools[].model`): all of them have to be allowed */
  readonly otherModels: readonly string[];
  readonly stream: boolean;
  /** of one choice */
  readonly maxOutputTokens: number | undefined;
  readonly choices: number;
  /** the client itself wants to see the usage in its stream */
  readonly asksUsage: boolean;
}

export type Body = Readonly<Record<string, unknown>>;

/** A top-level field of the body to replace or to add, with the JSON text of its new value. */
export interface Splice {
  readonly field: string;
  readonly json: string;
}

export interface SpliceOptions {
  readonly surface: Surface;
  readonly shape: RequestShape;
  readonly body: Body;
  /** what the channel's provider calls the model */
  readonly upstreamModel: string | undefined;
}

export interface MeterOptions {
  readonly surface: Surface;
  /** the answer (not the request) is an event stream */
  readonly stream: boolean;
  /** keep the usage chunk, which only we have asked for, from the client: `withholdsUsage` */
  readonly withholdUsage: boolean;
  /** stands in for the input while the provider has not told it */
  readonly estimatedInputTokens: number;
}

export interface Metered {
  readonly usage: Usage;
  readonly exact: boolean;
  /** `service_tier` and other modes of work that the answer names, where they may change its price */
  readonly tiers?: readonly string[];
}

/** Reads the usage out of a successful answer as it passes. */
export interface Meter {
  /** Takes the answer's next bytes and gives what goes on to the client now. */
  push(chunk: Buffer): readonly Buffer[];
  /** Only when the provider ended the answer properly: gives what was still held. */
  end(): readonly Buffer[];
  /** The best known so far, at any time; `exact` once the provider has told it. Undefined for what is not metered. */
  usage(): Metered | undefined;
}

/** All that is particular to one wire format. */
export interface DialectDriver {
  readonly dialect: Dialect;
  readonly surfaces: readonly Surface[];
  /** Reads what matters of a parsed body; refuses (`invalid_request`) what a provider might read in another way. */
  parseShape(body: Body, surface: Surface): { readonly shape: RequestShape } | { readonly refusal: Refusal };
  /** What the model reads of a body whose shape was found right. */
  measure(body: JsonBody, surface: Surface): Prompt;
  /** What else of a body changes its price. */
  toPriceFields(body: Body): PriceFields;
  /** What to change in the body before it is forwarded; nothing else is touched. */
  spliceFor(options: SpliceOptions): readonly Splice[];
  /** Whether `spliceFor` asks the provider for a usage chunk that the client did not ask for. */
  withholdsUsage(surface: Surface, shape: RequestShape): boolean;
  makeMeter(options: MeterOptions): Meter;
}
