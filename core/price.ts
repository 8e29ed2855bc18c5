import { emptyUsage, type MediaCounts, type Usage } from './usage.ts';

/** What a provider takes money for. Tokens and characters are priced per million, the others (image, second, request, webSearch) each. */
export type PricedUnit = TokenUnit | 'character' | 'image' | 'second' | 'request' | 'webSearch';
type TokenUnit =
  | 'input'
  | 'cachedInput'
  | 'cacheWrite'
  | 'cacheWrite1h'
  | 'output'
  | 'audioInput'
  | 'audioOutput'
  | 'imageInput'
  | 'imageOutput';

/** Integer nano-dollars per million or for each, by the unit. */
export interface Rate {
  readonly nanoUsd: number;
  /** dearer (or cheaper) requests by the length of their input: the last step whose bound is passed counts for all tokens; ascending */
  readonly steps?: readonly { readonly aboveInputTokens: number; readonly nanoUsd: number }[];
}

/** What a model costs at one channel. */
export interface Price {
  readonly rates: Readonly<Partial<Record<PricedUnit, Rate>>>;
  /** multiplier of all token rates in thousandths, by the `service_tier` (or other mode of work) that the provider tells; another is 1000 */
  readonly serviceTiers: Readonly<Record<string, number>>;
  /** the dearest of them, in thousandths, that may be used although the request asked for none */
  readonly unaskedThousandths: number;
}

export interface Cost {
  /** integer, rounded up once for the whole; never more than `maximumNanoUsd` */
  readonly nanoUsd: number;
  /** units that were used and have no price: audio counted as text, the others as nothing */
  readonly unpriced: readonly PricedUnit[];
}

/** A million dollars, the largest budget there is: sums of a few such costs still are integers in Lua. */
export const maximumNanoUsd = 1_000_000_000_000_000;
const million = 1_000_000n;

/**
 * What a request has cost: each token once, at the one rate that applies to it. Cached input, cache writes and audio are parts of the totals.
 * @param tiers what the answer told: its `service_tier`, other modes of work
 */
export function costOf(price: Price, usage: Usage, tiers: readonly string[] = []): Cost {
  const used = toParts(usage).filter(([, count]) => count > 0);
  const longest = usage.longestInputTokens ?? usage.inputTokens;
  const tokens = used.reduce((sum, [unit, count]) => sum + BigInt(count) * BigInt(nanoUsdFor(price, unit, longest)), 0n);
  const others = toOthers(usage).filter(({ count }) => count > 0);
  const fees = toFees(price, usage);
  const unpriced = findLack(price, [...used.map(([unit]) => unit), ...others.map(({ unit }) => unit)]);
  return { nanoUsd: toNanoUsd(tokens, toFactor(tiers.map((tier) => toThousandths(price, tier))), fees), unpriced };
}

/** Two measures of one thing, images or sound: whoever sells them by the one has no price for the other. */
const mediaUnits: readonly PricedUnit[] = ['image', 'second', 'character'];

/** Those of the units of a request that have no price and need one. */
function findLack(price: Price, units: readonly PricedUnit[]): readonly PricedUnit[] {
  const lacking = units.filter((unit) => !isPriced(price, unit));
  const media = units.filter((unit) => mediaUnits.includes(unit));
  if (media.length === 0) return lacking;
  const tokens = units.filter((unit) => isTokenUnit(unit));
  if (media.every((unit) => isPriced(price, unit))) return lacking.filter((unit) => !isTokenUnit(unit));
  if (tokens.length > 0 && tokens.every((unit) => isPriced(price, unit))) return lacking.filter((unit) => !mediaUnits.includes(unit));
  return lacking;
}

function isTokenUnit(unit: PricedUnit): boolean {
  return !mediaUnits.includes(unit) && unit !== 'request' && unit !== 'webSearch';
}

/** What is charged beside tokens, in millionths. */
function toFees(price: Price, usage: Usage): bigint {
  const request = BigInt(price.rates.request?.nanoUsd ?? 0) * million;
  return toOthers(usage).reduce(
    (sum, { unit, count, millionths }) => sum + BigInt(count) * BigInt(price.rates[unit]?.nanoUsd ?? 0) * millionths,
    request,
  );
}

/** What is counted beside tokens, and what one of each is in millionths of what has a price. */
function toOthers({ characters = 0, images = 0, webSearches = 0, audioMilliseconds = 0 }: Usage) {
  return [
    { unit: 'character', count: characters, millionths: 1n },
    { unit: 'image', count: images, millionths: million },
    { unit: 'webSearch', count: webSearches, millionths: million },
    { unit: 'second', count: audioMilliseconds, millionths: 1000n },
  ] as const;
}

/** Disjoint parts that together are all tokens, however little sense an upstream's numbers make. */
function toParts(usage: Usage): readonly (readonly [TokenUnit, number])[] {
  const audioInput = Math.min(usage.audioInputTokens ?? 0, usage.inputTokens);
  const imageInput = Math.min(usage.imageInputTokens ?? 0, usage.inputTokens - audioInput);
  const textInput = usage.inputTokens - audioInput - imageInput;
  const cached = Math.min(usage.cachedInputTokens, textInput);
  const written = Math.min(usage.cacheWriteTokens, textInput - cached);
  const written1h = Math.min(usage.cacheWrite1hTokens ?? 0, written);
  const audioOutput = Math.min(usage.audioOutputTokens ?? 0, usage.outputTokens);
  const imageOutput = Math.min(usage.imageOutputTokens ?? 0, usage.outputTokens - audioOutput);
  return [
    ['audioInput', audioInput],
    ['imageInput', imageInput],
    ['cachedInput', cached],
    ['cacheWrite1h', written1h],
    ['cacheWrite', written - written1h],
    ['input', textInput - cached - written],
    ['audioOutput', audioOutput],
    ['imageOutput', imageOutput],
    ['output', usage.outputTokens - audioOutput - imageOutput],
  ];
}

/** What a request may use, as far as it says so itself. */
export interface CostShape {
  /** UTF-8 bytes of the prompt-bearing part: a token has one byte at least */
  readonly promptBytes: number;
  /** most tokens that images, audio and files make of what is no text; absent = 0 */
  readonly mediaTokens?: number | undefined;
  /** the request lets the model call tools: providers put a prompt of their own before those */
  readonly hasTools?: boolean | undefined;
  /** of one choice; 0 for requests that produce no tokens (embeddings); absent = no bound */
  readonly maxOutputTokens?: number | undefined;
  /** absent = 1 */
  readonly choices?: number | undefined;
  /** learnt output of this key and model, all choices: stands in where the request sets no bound; absent = nothing learnt yet */
  readonly learntOutputTokens?: number | undefined;
  /** what it may use that is counted otherwise than in tokens, at most */
  readonly counts?: MediaCounts | undefined;
  /** what may be used beside text: audioInput, audioOutput, imageInput, imageOutput */
  readonly units?: readonly PricedUnit[] | undefined;
  /** `service_tier` as the request names it; absent = the account's own */
  readonly serviceTier?: string | undefined;
  /** other modes of work that the request names and that have a price of their own */
  readonly modes?: readonly string[] | undefined;
  /** most calls of server-side searches */
  readonly webSearches?: number | undefined;
  /** the provider may sum up a prompt of so many tokens first, which is another answer */
  readonly compactsFromTokens?: number | undefined;
  /** most times that the provider asks another model, which reads it all */
  readonly advice?: number | undefined;
}

/** Beside the text of the prompt: marks of roles and turns, the system prompts that servers add. */
const templateTokens = 64;
/** Providers' own prompt for tools (Anthropic documents 313 to 804 tokens by model). */
const toolsTemplateTokens = 1024;
/** What an answer without any bound is taken for while nothing is known of this key and model. */
const assumedOutputTokens = 4096;

/**
 * The most that a request can cost, integer nano-dollars: one token per byte at the dearest input rate, all the output that it allows at the dearest output rate, fees.
 * True of text with a bound of its output and without server-side tools; without a bound the learnt (or an assumed) output takes its place.
 */
export function boundOf(price: Price, shape: CostShape): number {
  const inputTokens = toMostInput(shape);
  const choices = shape.choices ?? 1;
  const outputTokens =
    shape.maxOutputTokens === undefined ? (shape.learntOutputTokens ?? assumedOutputTokens * choices) : shape.maxOutputTokens * choices;
  const units = shape.units ?? [];
  const inputUnits: TokenUnit[] = ['input', 'cachedInput', 'cacheWrite', 'cacheWrite1h'];
  inputUnits.push(...(['audioInput', 'imageInput'] as const).filter((unit) => units.includes(unit)));
  const outputUnits: TokenUnit[] = ['output', ...(['audioOutput', 'imageOutput'] as const).filter((unit) => units.includes(unit))];
  const ofOne =
    BigInt(inputTokens) * dearest(price, inputUnits, inputTokens) + BigInt(outputTokens) * dearest(price, outputUnits, inputTokens);
  return toNanoUsd(
    ofOne * toMostAnswers(shape, inputTokens),
    toDearestFactor(price, shape),
    toFees(price, { ...emptyUsage, ...shape.counts, webSearches: shape.webSearches ?? 0 }),
  );
}

/** What the client sees, and what the provider may ask of a model beside it. */
function toMostAnswers({ advice = 0, compactsFromTokens = Infinity }: CostShape, inputTokens: number): bigint {
  return BigInt(1 + advice + (inputTokens >= compactsFromTokens ? 1 : 0));
}

/** The most input tokens that a request can have. */
export function toMostInput({ promptBytes, mediaTokens = 0, hasTools = false }: CostShape): number {
  return promptBytes + mediaTokens + templateTokens + (hasTools ? toolsTemplateTokens : 0);
}

/** What so much input costs at least, nobody knowing better: of a request whose answer was given up or never settled. Integer nano-dollars. */
export function floorOf(price: Price, inputTokens: number, characters = 0): number {
  return costOf(price, { ...emptyUsage, inputTokens, characters }).nanoUsd;
}

/** The units of a request that have no price. Cached input and cache writes are input, and priced with it. */
export function findUnpriced(price: Price | undefined, shape: CostShape): readonly PricedUnit[] {
  const used: PricedUnit[] = ['input', ...(shape.maxOutputTokens === 0 ? [] : (['output'] as const)), ...(shape.units ?? [])];
  const others = toOthers({ ...emptyUsage, ...shape.counts, webSearches: shape.webSearches ?? 0 }).filter(({ count }) => count > 0);
  used.push(...others.map(({ unit }) => unit));
  return price === undefined ? used : findLack(price, used);
}

/** Where a kind of token has no rate of its own, it costs what it is a kind of. */
const kindOf: Readonly<Partial<Record<PricedUnit, TokenUnit>>> = {
  cachedInput: 'input',
  cacheWrite: 'input',
  cacheWrite1h: 'cacheWrite',
  audioInput: 'input',
  audioOutput: 'output',
  imageOutput: 'output',
  imageInput: 'input',
};

/** Cached input and cache writes are input; audio is another thing than text. */
export function isPriced(price: Price, unit: PricedUnit): boolean {
  if (price.rates[unit] !== undefined) return true;
  const kind = unit === 'audioInput' || unit === 'audioOutput' ? undefined : kindOf[unit];
  return kind !== undefined && isPriced(price, kind);
}

function nanoUsdFor(price: Price, unit: TokenUnit, inputTokens: number): number {
  const rate = rateOf(price, unit);
  return rate?.steps?.findLast(({ aboveInputTokens }) => inputTokens > aboveInputTokens)?.nanoUsd ?? rate?.nanoUsd ?? 0;
}

function rateOf(price: Price, unit: TokenUnit): Rate | undefined {
  const kind = kindOf[unit];
  return price.rates[unit] ?? (kind === undefined ? undefined : rateOf(price, kind));
}

/** Over all steps that an input of so many tokens or fewer can be on. */
function dearest(price: Price, units: readonly TokenUnit[], mostInputTokens: number): bigint {
  const reachable = units.flatMap((unit) => {
    const { nanoUsd = 0, steps = [] } = rateOf(price, unit) ?? {};
    return [nanoUsd, ...steps.filter(({ aboveInputTokens }) => mostInputTokens > aboveInputTokens).map((step) => step.nanoUsd)];
  });
  return BigInt(Math.max(...reachable));
}

interface Factor {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

function toFactor(thousandths: readonly number[]): Factor {
  return {
    numerator: thousandths.reduce((product, each) => product * BigInt(each), 1n),
    denominator: 1000n ** BigInt(thousandths.length),
  };
}

/** Names come from upstreams and clients, and one of them may be that of a member of every object. */
function toThousandths({ serviceTiers }: Price, tier: string): number {
  return Object.hasOwn(serviceTiers, tier) ? (serviceTiers[tier] ?? 1000) : 1000;
}

/** A provider may fall back to its usual tier, so that a cheaper one promises nothing. */
function toDearestFactor(price: Price, { serviceTier, modes = [] }: CostShape): Factor {
  const isOwnChoice = serviceTier !== undefined && serviceTier !== 'auto';
  const named = [...(isOwnChoice ? [serviceTier] : []), ...modes].map((tier) => toThousandths(price, tier));
  return toFactor([...named, ...(isOwnChoice ? [] : [price.unaskedThousandths])].map((each) => Math.max(1000, each)));
}

/** `tokens` is nano-dollars per million tokens, `fees` the same scale without the factor. */
function toNanoUsd(tokens: bigint, { numerator, denominator }: Factor, fees: bigint): number {
  const scale = million * denominator;
  const sum = tokens * numerator + fees * denominator;
  const nanoUsd = (sum + scale - 1n) / scale;
  return nanoUsd > BigInt(maximumNanoUsd) ? maximumNanoUsd : Number(nanoUsd);
}
