/** What one request used, in the same words for every provider; integers. */
export interface Usage {
  /** all input, cache reads and writes included */
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  /** for however long */
  readonly cacheWriteTokens: number;
  /** all output, reasoning included */
  readonly outputTokens: number;
  readonly reasoningTokens: number;

  // what only some requests have; absent = 0
  /** of cacheWriteTokens, those written for an hour and not for five minutes */
  readonly cacheWrite1hTokens?: number;
  /** of inputTokens */
  readonly audioInputTokens?: number;
  /** of outputTokens */
  readonly audioOutputTokens?: number;
  /** of outputTokens, those that images are made of */
  readonly imageOutputTokens?: number;
  /** of inputTokens, those of images */
  readonly imageInputTokens?: number;
  /** searches that the provider made on its side */
  readonly webSearches?: number;
  readonly images?: number;
  readonly audioMilliseconds?: number;
  readonly characters?: number;
  /** where the model was asked several times for one answer: the longest input of one, by which a price may go; absent = all of it was one */
  readonly longestInputTokens?: number;
}

/** What images and sound are counted in beside tokens: which of the two is paid for depends on the model. */
export type MediaCounts = Pick<Usage, 'images' | 'audioMilliseconds' | 'characters'>;

export const emptyUsage: Usage = { inputTokens: 0, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 };

/** No answer has more; a larger number is nonsense of an upstream, and sums of it would leave the integers. */
const maximumTokens = 1_000_000_000_000;

/**
 * Reads `usage` of an OpenAI answer (chat, completions, embeddings). Undefined when the numbers that count are not there,
 * so that the caller falls back to an estimate and not to zero. Source: OpenAI API reference, "CompletionUsage".
 */
export function parseOpenAIUsage(value: unknown): Usage | undefined {
  const input = toCount(member(value, 'prompt_tokens'));
  if (input === undefined) return undefined;
  const total = toCount(member(value, 'total_tokens'));
  const beyondInput = total === undefined ? undefined : Math.max(0, total - input);
  const completion = toCount(member(value, 'completion_tokens')) ?? beyondInput;
  if (completion === undefined) return undefined;
  // Embeddings have no completion_tokens. Grok's have no reasoning in them, and the total has (Vertex AI, "Reasoning for Grok Models").
  const output = Math.max(completion, beyondInput ?? 0);
  const inputDetails = member(value, 'prompt_tokens_details');
  const cached = toCount(member(inputDetails, 'cached_tokens')) ?? toCachedElsewhere(value) ?? 0;
  const outputDetails = member(value, 'completion_tokens_details');
  const reasoning = toCount(member(outputDetails, 'reasoning_tokens')) ?? 0;
  return {
    inputTokens: input,
    cachedInputTokens: Math.min(cached, input),
    cacheWriteTokens: 0,
    outputTokens: output,
    reasoningTokens: Math.min(reasoning, output),
    ...toParts({
      audioInputTokens: Math.min(toCount(member(inputDetails, 'audio_tokens')) ?? 0, input),
      audioOutputTokens: Math.min(toCount(member(outputDetails, 'audio_tokens')) ?? 0, output),
    }),
  };
}

/**
 * Reads `usage` of the Responses API. Undefined when the numbers that count are not there: a response that still runs has `usage: null`.
 * Source: OpenAI API reference, "Responses", "ResponseUsage".
 */
export function parseResponsesUsage(value: unknown): Usage | undefined {
  const input = toCount(member(value, 'input_tokens'));
  const output = toCount(member(value, 'output_tokens'));
  if (input === undefined || output === undefined) return undefined;
  const inputDetails = member(value, 'input_tokens_details');
  const cached = Math.min(toCount(member(inputDetails, 'cached_tokens')) ?? 0, input);
  const written = toCount(member(inputDetails, 'cache_write_tokens')) ?? 0;
  const reasoning = toCount(member(member(value, 'output_tokens_details'), 'reasoning_tokens')) ?? 0;
  return {
    inputTokens: input,
    cachedInputTokens: cached,
    cacheWriteTokens: Math.min(written, input - cached),
    outputTokens: output,
    reasoningTokens: Math.min(reasoning, output),
  };
}

/** DeepSeek and Moonshot have names of their own for it. Sources: DeepSeek API docs, "Context Caching"; Moonshot API docs, "Chat". */
function toCachedElsewhere(value: unknown): number | undefined {
  return toCount(member(value, 'prompt_cache_hit_tokens')) ?? toCount(member(value, 'cached_tokens'));
}

/**
 * Reads `usage` of OpenAI's answers about images and sound: tokens, or the seconds of a recording (`type: "duration"`). Undefined when it tells neither.
 * Sources: OpenAI API reference, "ImagesResponse", "Create transcription" (TranscriptTextUsageTokens, TranscriptTextUsageDuration), "speech.audio.done".
 */
export function parseOpenAIMediaUsage(value: unknown): Usage | undefined {
  const seconds = member(value, 'seconds');
  if (typeof seconds === 'number' && seconds >= 0 && seconds <= maximumTokens)
    return { ...emptyUsage, audioMilliseconds: Math.ceil(seconds * 1000) };
  const input = toCount(member(value, 'input_tokens'));
  const output = toCount(member(value, 'output_tokens'));
  if (input === undefined || output === undefined) return undefined;
  // images have `details`, transcriptions have `detail`
  const details = member(value, 'input_tokens_details') ?? member(value, 'input_token_details');
  const audioInputTokens = Math.min(toCount(member(details, 'audio_tokens')) ?? 0, input);
  const imageInputTokens = Math.min(toCount(member(details, 'image_tokens')) ?? 0, input - audioInputTokens);
  const cachedInputTokens = Math.min(toCount(member(details, 'cached_tokens')) ?? 0, input);
  const parts = toParts({ audioInputTokens, imageInputTokens, imageOutputTokens: countImageOutput(value, output) });
  return { ...emptyUsage, inputTokens: input, cachedInputTokens, outputTokens: output, ...parts };
}

/** Answers that are images have parts of their input, and of their output only where not all of it is image. */
function countImageOutput(value: unknown, output: number): number {
  if (member(value, 'input_tokens_details') === undefined) return 0;
  return Math.min(toCount(member(member(value, 'output_tokens_details'), 'image_tokens')) ?? output, output);
}

/**
 * Reads `usage` of an Anthropic answer, of `message_start` or of a `message_delta`. Deltas are cumulative and may lack fields or hold nulls:
 * what is not there keeps its value of `before`. Cache reads and writes are outside Anthropic's `input_tokens` and inside ours.
 * Undefined when there is no number at all and nothing before. Source: Anthropic API reference, "Usage", "MessageDeltaUsage".
 */
export function parseAnthropicUsage(value: unknown, before?: Usage): Usage | undefined {
  const input = toCount(member(value, 'input_tokens'));
  const output = toCount(member(value, 'output_tokens'));
  if (before === undefined && input === undefined) return undefined;
  const known = before ?? emptyUsage;
  const cached = toCount(member(value, 'cache_read_input_tokens')) ?? known.cachedInputTokens;
  const written = toCount(member(value, 'cache_creation_input_tokens')) ?? known.cacheWriteTokens;
  const uncached = input ?? known.inputTokens - known.cachedInputTokens - known.cacheWriteTokens;
  const outputTokens = output ?? known.outputTokens;
  const thinking = toCount(member(member(value, 'output_tokens_details'), 'thinking_tokens')) ?? known.reasoningTokens;
  return {
    inputTokens: uncached + cached + written,
    cachedInputTokens: cached,
    cacheWriteTokens: written,
    outputTokens,
    reasoningTokens: Math.min(thinking, outputTokens),
    ...toAnthropicParts(value, known, written),
  };
}

/** Of `usage.iterations`, what is not in the numbers above it: summaries of a long conversation, and another model's advice. */
const besideTypes: readonly unknown[] = ['compaction', 'advisor_message'];

/**
 * What an Anthropic answer used beside the numbers that `parseAnthropicUsage` reads; cumulative as they are. Undefined where nothing is said of it.
 * Source: Anthropic API reference, "BetaUsage": iterations; "Compaction"; "Advisor tool".
 */
export function parseAnthropicIterations(value: unknown): Usage | undefined {
  const iterations = member(value, 'iterations');
  if (!Array.isArray(iterations)) return undefined;
  const beside = iterations.filter((entry: unknown) => besideTypes.includes(member(entry, 'type')));
  return beside.flatMap((entry: unknown) => parseAnthropicUsage(entry) ?? []).reduce(addAnthropicUsage, emptyUsage);
}

/** Of a whole answer. */
export function parseAnthropicAnswerUsage(value: unknown): Usage | undefined {
  const usage = parseAnthropicUsage(value);
  return usage && addAnthropicUsage(usage, parseAnthropicIterations(value) ?? emptyUsage);
}

/** Of two times that the model was asked for one answer. */
export function addAnthropicUsage(left: Usage, right: Usage): Usage {
  if (billedTokens(right) === 0) return left;
  if (billedTokens(left) === 0) return right;
  const sum = (count: (usage: Usage) => number | undefined): number => Math.min((count(left) ?? 0) + (count(right) ?? 0), maximumTokens);
  return {
    inputTokens: sum(({ inputTokens }) => inputTokens),
    cachedInputTokens: sum(({ cachedInputTokens }) => cachedInputTokens),
    cacheWriteTokens: sum(({ cacheWriteTokens }) => cacheWriteTokens),
    outputTokens: sum(({ outputTokens }) => outputTokens),
    reasoningTokens: sum(({ reasoningTokens }) => reasoningTokens),
    ...toParts({
      cacheWrite1hTokens: sum(({ cacheWrite1hTokens }) => cacheWrite1hTokens),
      webSearches: sum(({ webSearches }) => webSearches),
      longestInputTokens: Math.max(...[left, right].map(({ longestInputTokens, inputTokens }) => longestInputTokens ?? inputTokens)),
    }),
  };
}

function toAnthropicParts(value: unknown, known: Usage, written: number): Partial<Usage> {
  const { cacheWrite1hTokens = 0, webSearches = 0 } = known;
  const forHour = toCount(member(member(value, 'cache_creation'), 'ephemeral_1h_input_tokens')) ?? cacheWrite1hTokens;
  const searches = toCount(member(member(value, 'server_tool_use'), 'web_search_requests')) ?? webSearches;
  return toParts({ cacheWrite1hTokens: Math.min(forHour, written), webSearches: searches });
}

/**
 * Reads `usageMetadata` of a Gemini answer or of one element of its stream; each tells all until then. Thoughts stand beside the candidates, and what tools put into the prompt beside the
 * prompt: both are inside ours. A count of 0 is left away on the wire, so that only a missing prompt makes it undefined. Source: Gemini API reference, "UsageMetadata".
 */
export function parseGeminiUsage(value: unknown): Usage | undefined {
  const prompt = toCount(member(value, 'promptTokenCount'));
  if (prompt === undefined) return undefined;
  const input = prompt + (toCount(member(value, 'toolUsePromptTokenCount')) ?? 0);
  const thoughts = toCount(member(value, 'thoughtsTokenCount')) ?? 0;
  const candidates = toCount(member(value, 'candidatesTokenCount')) ?? 0;
  // some models give the total alone before the end
  const output = Math.max(candidates + thoughts, (toCount(member(value, 'totalTokenCount')) ?? 0) - input);
  const audioInput = sumModality(value, 'AUDIO', 'promptTokensDetails', 'toolUsePromptTokensDetails');
  const audioOutput = Math.min(sumModality(value, 'AUDIO', 'candidatesTokensDetails'), output);
  return {
    inputTokens: input,
    cachedInputTokens: Math.min(toCount(member(value, 'cachedContentTokenCount')) ?? 0, prompt),
    cacheWriteTokens: 0,
    outputTokens: output,
    reasoningTokens: thoughts,
    ...toParts({
      audioInputTokens: Math.min(audioInput, input),
      audioOutputTokens: audioOutput,
      imageOutputTokens: Math.min(sumModality(value, 'IMAGE', 'candidatesTokensDetails'), output - audioOutput),
    }),
  };
}

/** Lists of `ModalityTokenCount`. */
function sumModality(value: unknown, modality: string, ...fields: readonly string[]): number {
  return fields
    .flatMap((field) => member(value, field) ?? [])
    .filter((each) => member(each, 'modality') === modality)
    .reduce((sum: number, each) => sum + (toCount(member(each, 'tokenCount')) ?? 0), 0);
}

/** What most requests have none of is left away. */
function toParts(parts: Partial<Usage>): Partial<Usage> {
  return Object.fromEntries(Object.entries(parts).filter(([, count]) => count > 0));
}

/**
 * `service_tier`, `speed`, `inference_geo`: modes of work that change the price, as an answer (OpenAI) or its `usage` (Anthropic) names them; undefined when it names none.
 * Sources: OpenAI API reference, "service_tier"; Anthropic API reference, "Usage".
 */
export function parseTiers(value: unknown): readonly string[] | undefined {
  const named = ['service_tier', 'speed', 'inference_geo'].map((name) => member(value, name)).filter((tier) => typeof tier === 'string');
  return named.length === 0 ? undefined : named;
}

/** What token limits count: input and output, cached input included. */
export function billedTokens(usage: Usage): number {
  return usage.inputTokens + usage.outputTokens;
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function toCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maximumTokens ? value : undefined;
}
