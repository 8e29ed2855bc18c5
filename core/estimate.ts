/** About four bytes of prompt make a token in English text and code. Prose in other scripts makes more tokens; the settlement corrects it. */
const bytesPerToken = 4;
/** What an answer is taken to cost while nothing is known of this key and model. */
const defaultOutputTokens = 512;

/** What a model reads of one request, measured without keeping any of it. */
export interface Prompt {
  /** bytes that may be text (messages, system prompt, tools with their schemas), as they stand in the body: JSON's own signs are inside, the bytes of images, audio and files are not */
  readonly textBytes: number;
  /** input that is counted in tokens already: the client has cut it, or the provider told */
  readonly tokens: number;
  readonly images: number;
  readonly audios: number;
  /** decoded bytes of the audio that is inside the request; audio that it only points to has none */
  readonly audioBytes: number;
  readonly files: number;
  /** as of audio */
  readonly fileBytes: number;
}

/** An image of a usual size costs 85 to 1,600 tokens, whatever its file weighs. Sources: OpenAI "Images and vision", Anthropic "Vision", Gemini "Image understanding". */
const imageTokens = 1000;
/** Ten to 32 tokens a second; a second of compressed speech has 2 to 16 KB. Sources: OpenAI "Audio", Gemini "Audio understanding". */
const audioFloorTokens = 100;
const audioBytesPerToken = 500;
/** A page of a PDF costs 1,500 to 3,000 tokens of text, and its image. Source: Anthropic "PDF support". */
const fileFloorTokens = 1500;
const fileBytesPerToken = 20;

/** Tokens to reserve for a prompt; never 0. */
export function estimateInputTokens(prompt: Prompt): number {
  return Math.max(1, Math.ceil(prompt.textBytes / bytesPerToken) + prompt.tokens + estimateMediaTokens(prompt));
}

/** Tokens of what is no text. Nothing in a request tells them exactly. */
export function estimateMediaTokens({ images, audios, audioBytes, files, fileBytes }: Prompt): number {
  return (
    images * imageTokens +
    Math.max(audios * audioFloorTokens, Math.ceil(audioBytes / audioBytesPerToken)) +
    Math.max(files * fileFloorTokens, Math.ceil(fileBytes / fileBytesPerToken))
  );
}

export interface TokenEstimate {
  readonly inputTokens: number;
  /** what the request allows for one choice; absent = no bound; 0 for requests that produce no tokens (embeddings) */
  readonly maxOutputTokens?: number | undefined;
  /** OpenAI `n`; absent = 1 */
  readonly choices?: number | undefined;
  /** learnt 90th percentile of the output of this key and model; absent = nothing learnt yet */
  readonly learntOutputTokens?: number | undefined;
}

/** Tokens to reserve for a request at admission: a guess that the settlement replaces. The counters cap it at the limit. */
export function estimateTokens({ inputTokens, maxOutputTokens, choices, learntOutputTokens }: TokenEstimate): number {
  const allowed = (maxOutputTokens ?? Number.POSITIVE_INFINITY) * (choices ?? 1);
  return inputTokens + Math.min(allowed, learntOutputTokens ?? defaultOutputTokens);
}
