/** About four bytes of prompt make a token in English text and code. Prose in other scripts makes more tokens; the settlement corrects it. */
const bytesPerToken = 4;
/** What an answer is taken to cost while nothing is known of this key and model. */
const defaultOutputTokens = 512;

/** Tokens to reserve for a prompt of so many bytes; never 0. */
export function estimateInputTokens(promptBytes: number): number {
  return Math.max(1, Math.ceil(promptBytes / bytesPerToken));
}

export interface TokenEstimate {
  /** bytes of the prompt-bearing part of the request */
  readonly promptBytes: number;
  /** what the request allows for one choice; absent = no bound; 0 for requests that produce no tokens (embeddings) */
  readonly maxOutputTokens?: number | undefined;
  /** OpenAI `n`; absent = 1 */
  readonly choices?: number | undefined;
  /** learnt 90th percentile of the output of this key and model; absent = nothing learnt yet */
  readonly learntOutputTokens?: number | undefined;
}

/** Tokens to reserve for a request at admission: a guess that the settlement replaces. The counters cap it at the limit. */
export function estimateTokens(estimate: TokenEstimate): number {
  const allowed = (estimate.maxOutputTokens ?? Number.POSITIVE_INFINITY) * (estimate.choices ?? 1);
  return estimateInputTokens(estimate.promptBytes) + Math.min(allowed, estimate.learntOutputTokens ?? defaultOutputTokens);
}
