import type { Prompt } from '../../core/estimate.ts';
import type { Dialect, Refusal } from '../../core/refusals.ts';
import type { Scope } from '../../core/snapshot.ts';
import type { MediaCounts, Usage } from '../../core/usage.ts';
import type { MultipartBody } from '../bodies/multipart-scan.ts';
import type { ReceivedHeaders } from '../headers.ts';
import type { JsonBody } from '../bodies/json-scan.ts';
import type { JsonMember } from '../bodies/json-walk.ts';
import type { PriceFields } from './price-fields.ts';

/** What a call does, whatever the dialect calls it: it decides which stages a request goes through and how its answer is charged. */
export type Operation = 'chat' | 'stored' | 'count_tokens' | 'embeddings' | 'moderations' | 'images' | 'audio' | 'models' | 'model' | 'key';

/** Parts of the path that a surface names (`:model`), percent-decoded. */
export type PathParameters = Readonly<Record<string, string>>;

/** One path that clients may call. */
export interface Surface {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** as the router writes it, with `:name` for what the client fills in */
  readonly path: string;
  /** Google's way to say what is done with what the path names: its last parameter ends with `:verb` (AIP-136). The path and its method may be those of other surfaces */
  readonly verb?: string;
  /** in which the call is made and answered; a path of several dialects is listed once, and its answer goes by what the request tells */
  readonly dialect: Dialect;
  readonly scope: Scope;
  readonly operation: Operation;
  /**
   * What follows a channel's base URL; made from this table, never from what the client sent. `{model}` becomes the provider's name of the model, any other `{name}` the
   * checked path parameter. Empty where no provider is asked.
   */
  readonly upstreamPath: string;
  /** what the client sends: JSON, a form, either as the content type says; `none` also where it is a POST */
  readonly body: 'json' | 'multipart' | 'either' | 'none';
  /** whether it uses tokens that are counted */
  readonly metered: boolean;
  /** query parameters that go on to the provider */
  readonly allowedQuery: readonly string[];
  /** of those, the ones that decide about the answer, and the values that they may have, once */
  readonly queryValues?: Readonly<Record<string, readonly string[]>>;
  /** a successful answer in JSON is a list whose elements come one by one */
  readonly streamsList?: boolean;
}

/** What the pipeline has to know of a request's body. */
export interface RequestShape {
  readonly model: string | undefined;
  /** the body names it otherwise or not at all, so that the provider's name is always written into it; absent = no */
  readonly replacesModel?: boolean;
  /** every further model that the request names (`models[]`, `tools[].model`): all of them have to be allowed */
  readonly otherModels: readonly string[];
  /** of those, the ones that it does not name: the provider takes one of them by its own choice; absent = none */
  readonly possibleModels?: readonly string[];
  /** the model may have images made by another one; absent = no */
  readonly drawsImages?: boolean;
  readonly stream: boolean;
  /** of one choice */
  readonly maxOutputTokens: number | undefined;
  /** where providers of the dialect stop by themselves without a bound; absent = nowhere. Who only speaks OpenAI's language need not */
  readonly defaultOutputTokens?: number;
  readonly choices: number;
  /** the client itself wants to see the usage in its stream */
  readonly asksUsage: boolean;
  /** the provider works on when this answer has ended, and what that takes is not told in it; absent = no */
  readonly runsOn?: boolean;
  /** objects that a provider keeps and that the request points to: each has to be one that this key was shown; absent = none */
  readonly references?: readonly Reference[];
  /** the provider keeps what it answers, so that its ids are noted; absent = no */
  readonly keepsAnswer?: boolean;
  /** it points to what belongs to neither the account nor the request (a video on YouTube), which may be forbidden where the model is not; absent = no */
  readonly readsElsewhere?: boolean;
  /** searches that the provider makes for it, told by no answer; absent = none */
  readonly webSearches?: number;
  /** what images and sound are counted in beside tokens, at most, all choices together; absent for text */
  readonly counts?: MediaCounts;
  /** of all choices, where the answer is no text: stands in for the tokens that the provider does not tell; absent for text */
  readonly estimatedOutputTokens?: number;
}

/** How much a request reads that goes on with a kept object. */
export interface KeptSize {
  readonly id: string;
  readonly tokens: number;
}

/** An id that a client sends for an object that a provider keeps. */
export interface Reference {
  readonly id: string;
  /** what it is, for the client */
  readonly what: string;
  /** the field that holds it; absent = the path */
  readonly param?: string;
}

export type Body = Readonly<Record<string, unknown>>;

/** A top-level field of the body to replace or to add, with the JSON text of its new value (in a form a string becomes the text that it stands for). */
export interface Splice {
  readonly field: string;
  readonly json: string;
  /** replaced at every place that `readBody` found for it, however deep, and nowhere added */
  readonly everyPlace?: true;
}

export interface SpliceOptions {
  readonly surface: Surface;
  readonly shape: RequestShape;
  readonly body: Body;
  /** what the channel's provider calls the model */
  readonly upstreamModel: string | undefined;
  /** the provider refuses to be asked for usage in a stream, and tells it unasked; absent = no */
  readonly tellsUsageUnasked?: boolean;
}

export interface MeterOptions {
  readonly surface: Surface;
  /** the answer (not the request) is an event stream */
  readonly stream: boolean;
  /** keep the usage chunk, which only we have asked for, from the client: `withholdsUsage` */
  readonly withholdUsage: boolean;
  /** stands in for the input while the provider has not told it */
  readonly estimatedInputTokens: number;
  /** stands in for the output where the provider does not tell it, however little of it was seen: of what runs on */
  readonly unseenOutputTokens?: number | undefined;
  /** of the answer */
  readonly headers?: ReceivedHeaders;
  /** of the request; only what is no text needs it */
  readonly shape?: RequestShape;
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
  /** Of a list whose elements come one by one: what to write behind what has passed, so that it ends with this element. Undefined where half an element has passed. */
  endWith?(element: string): string | undefined;
  /** The best known so far, at any time; `exact` once the provider has told it. Undefined for what is not metered. */
  usage(): Metered | undefined;
  /** True: the stream ended without the event that ends one. Absent where streams may just end. */
  isCutShort?(): boolean;
  /** Of streams whose events are numbered: the number of the next. */
  nextSequenceNumber?(): number;
}

/** All that is particular to one kind of call of one wire format. */
export interface SurfaceDriver {
  readonly surfaces: readonly Surface[];
  /**
   * Looks at the bytes of JSON themselves, where a parsed value does not tell enough: which spelling was used, what stands there twice. Gives every place below the top level where the
   * model stands.
   */
  readBody?(body: JsonBody): { readonly modelPlaces: readonly JsonMember[] } | { readonly refusal: Refusal };
  /** Reads what matters of a parsed body (of a form its short texts) and of the path; refuses (`invalid_request`) what a provider might read in another way. */
  parseShape(body: Body, surface: Surface, parameters: PathParameters): { readonly shape: RequestShape } | { readonly refusal: Refusal };
  /** What the model reads of a body whose shape was found right. */
  measure(body: JsonBody, surface: Surface): Prompt;
  /** The same of a form; absent where no surface takes one. */
  measureForm?(body: MultipartBody, surface: Surface): Prompt;
  /** What else of a body changes its price. */
  toPriceFields(body: Body, shape?: RequestShape): PriceFields;
  /** What to change in the body before it is forwarded; nothing else is touched. */
  spliceFor(options: SpliceOptions): readonly Splice[];
  /** Whether `spliceFor` asks the provider for a usage chunk that the client did not ask for. */
  withholdsUsage(surface: Surface, shape: RequestShape): boolean;
  makeMeter(options: MeterOptions): Meter;
  /** its requests have `prompt_cache_key`, `safety_identifier` and `service_tier`; absent = no */
  readonly takesAccountFields?: boolean;
  /** Ids of kept objects that a document of an answer (the whole, an event) shows; absent where nothing is kept. */
  idsOf?(document: Body): readonly string[];
  /** Of a document that tells the usage of a kept object: what a request that goes on with it reads of it; absent where nothing is kept. */
  sizeOf?(document: Body): KeptSize | undefined;
}

/** A surface and what knows its wire format; no driver where the gateway answers by itself. */
export interface Endpoint {
  readonly surface: Surface;
  readonly driver: SurfaceDriver | undefined;
}

/** Each surface with its driver, for the table of paths. */
export function toEndpoints(driver: SurfaceDriver): readonly Endpoint[] {
  return driver.surfaces.map((surface) => ({ surface, driver }));
}
