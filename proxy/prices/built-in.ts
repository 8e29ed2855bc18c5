import { calcPrice, findProvider, type ModelPrice } from '@pydantic/genai-prices';
import type { Price, PricedUnit, Rate } from '../../core/price.ts';
import type { ChannelRecord, Provider } from '../../core/snapshot.ts';
import { isSearchedByPrompt } from '../dialects/gemini/searches.ts';

/** The list's own names. Who only speaks OpenAI's language is known by its address, never by the names of its models: whoever serves them sets the price. */
const providerIds: Readonly<Record<Exclude<Provider, 'OpenAICompatible'>, string>> = {
  OpenAI: 'openai',
  AzureOpenAI: 'azure',
  Anthropic: 'anthropic',
  Gemini: 'google',
  VertexAI: 'google',
  Bedrock: 'aws',
};

/** The list's unit → ours, and how many of ours its price is for, in millions for what we price by the million. */
const units: readonly (readonly [listed: string, unit: PricedUnit, count: number])[] = [
  ['input_mtok', 'input', 1],
  ['cache_read_mtok', 'cachedInput', 1],
  ['cache_write_mtok', 'cacheWrite', 1],
  ['cache_write_1h_mtok', 'cacheWrite1h', 1],
  ['output_mtok', 'output', 1],
  ['input_audio_mtok', 'audioInput', 1],
  ['output_audio_mtok', 'audioOutput', 1],
  ['output_image_mtok', 'imageOutput', 1],
  ['input_image_mtok', 'imageInput', 1],
  ['input_audio_hours', 'second', 3600],
  ['requests_kcount', 'request', 1000],
  ['web_searches_kcount', 'webSearch', 1000],
];

/**
 * Modes of work that the list does not know, in thousandths of the usual price; a Channel's `serviceTiers` go above them. Where a provider names several, the dearest.
 * Sources: openai.com/api-fast-mode (1.75 times for gpt-4.1, 2.5 for gpt-5.5; `priority` and `fast` are one tier since July 2026), developers.openai.com/api/docs/guides/ultrafast-mode (6 times);
 * flex costs half (guides/flex-processing) and is counted in full, because not every compatible server gives that. platform.claude.com: fast mode (2 to 6 times by model), data residency.
 * ai.google.dev/gemini-api/docs/priority-inference (1.75 to 2 times); its flex is half as well, and counted in full.
 */
const modes: Readonly<Partial<Record<string, Price['serviceTiers']>>> = {
  openai: { priority: 2500, fast: 2500, ultrafast: 6000 },
  azure: { priority: 2000 },
  anthropic: { fast: 6000, us: 1100 },
  google: { priority: 2000 },
};

/** What the list lacks, in nano-dollars. Sources: OpenAI pricing, text to speech by the million characters; "moderation endpoints are free of charge". */
const unlisted: readonly (readonly [name: RegExp, rates: Price['rates']])[] = [
  [/^tts-1-hd(-|$)/, { character: { nanoUsd: 30_000_000_000 } }],
  [/^tts-1(-|$)/, { character: { nanoUsd: 15_000_000_000 } }],
  [/^(omni|text)-moderation-/, { input: { nanoUsd: 0 } }],
  [
    /^gpt-5-search-api(-|$)/,
    { input: { nanoUsd: 1_250_000_000 }, cachedInput: { nanoUsd: 125_000_000 }, output: { nanoUsd: 10_000_000_000 } },
  ],
];

/**
 * Fees that the list has for another tool, or not. A search model searches for every request, as no answer tells: a fee each, whatever `web_search_options` says. Other models of that age pay
 * 25 dollars for a thousand calls of `web_search_preview` and 10 for `web_search`: the dearer of the two. Source: OpenAI pricing, built-in tools.
 */
const fees: readonly (readonly [name: RegExp, rates: Price['rates']])[] = [
  [/^gpt-4o(-mini)?-search-preview(-|$)/, { request: { nanoUsd: 25_000_000 }, webSearch: { nanoUsd: 0 } }],
  [/^gpt-5-search-api(-|$)/, { request: { nanoUsd: 10_000_000 }, webSearch: { nanoUsd: 0 } }],
  [/^gpt-4(o|\.1)(-|$)/, { webSearch: { nanoUsd: 25_000_000 } }],
];

function findFees(providerId: string, model: string): Price['rates'] {
  if (providerId !== 'openai' && providerId !== 'azure') return {};
  return fees.find(([name]) => name.test(model))?.[1] ?? {};
}

function findUnlisted(providerId: string, model: string): Price['rates'] {
  if (providerId !== 'openai' && providerId !== 'azure') return {};
  return unlisted.find(([name]) => name.test(model))?.[1] ?? {};
}

/**
 * What the built-in list says of a model at a moment (some prices depend on the day or its hours). Undefined for a provider or a model that it does not know, and for one of whose prices
 * none is more than 0: the list has zeros where a price is not known.
 */
export function findBuiltInPrice(
  { provider, baseUrl }: Pick<ChannelRecord, 'provider' | 'baseUrl'>,
  model: string,
  atMs: number,
): Price | undefined {
  const providerId = provider === 'OpenAICompatible' ? findProvider({ providerApiUrl: baseUrl })?.id : providerIds[provider];
  if (providerId === undefined) return undefined;
  const found = calcPrice({}, model, { providerId, timestamp: new Date(atMs) });
  const listed = { ...findUnlisted(providerId, model), ...(found === null ? {} : toRates(found.model_price)) };
  if (Object.keys(listed).length === 0) return undefined;
  const rates = { ...listed, ...findFees(providerId, model) };
  return {
    rates: providerId === 'google' ? addGoogleRates(rates, model) : rates,
    serviceTiers: modes[providerId] ?? {},
    unaskedThousandths: 1000,
  };
}

/**
 * What the list does not know of Google's models: the fee of grounding, for each search since Gemini 3 and for each prompt before, and that the output of a model that
 * speaks is audio. Source: ai.google.dev/gemini-api/docs/pricing.
 */
function addGoogleRates(rates: Price['rates'], model: string): Price['rates'] {
  const webSearch = { nanoUsd: isSearchedByPrompt(model) ? 35_000_000 : 14_000_000 };
  const speech = /-tts\b/.test(model) && rates.output !== undefined ? { audioOutput: rates.output } : {};
  return { webSearch, ...speech, ...rates };
}

/** The list's price of a model in our units; a 0 in it means that nobody knows. */
export function toRates(listed: ModelPrice): Price['rates'] {
  return Object.fromEntries(units.flatMap(([name, unit, count]) => toRate(listed[name], unit, count)));
}

function toRate(listed: ModelPrice[string], unit: PricedUnit, count: number): readonly (readonly [PricedUnit, Rate])[] {
  if (listed === undefined) return [];
  if (typeof listed === 'number') return listed === 0 ? [] : [[unit, { nanoUsd: toNanoUsd(listed, count) }]];
  const steps = listed.tiers.map(({ start, price }) => ({ aboveInputTokens: start, nanoUsd: toNanoUsd(price, count) }));
  const rate = {
    nanoUsd: toNanoUsd(listed.base, count),
    steps: steps.toSorted((left, right) => left.aboveInputTokens - right.aboveInputTokens),
  };
  return [rate, ...rate.steps].some(({ nanoUsd }) => nanoUsd === 0) ? [] : [[unit, rate]];
}

/** Dollars for so many units → nano-dollars for one, rounded up; what is below a thousandth of one is the doubles' own error (0.18000000000000002). */
function toNanoUsd(usd: number, count: number): number {
  return Math.ceil(Number(((usd * 1e9) / count).toFixed(3)));
}
