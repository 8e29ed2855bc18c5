import { type Exchange, required } from '../exchange.ts';

/**
 * The most output tokens of one choice: what the request allows, else where all of the channels that may answer it stop by themselves. Undefined: nobody says.
 * A server that only speaks OpenAI's language keeps its own defaults, and some of those have no end (Ollama, llama.cpp).
 */
export function toOutputBound({ shape, candidates }: Pick<Exchange, 'shape' | 'candidates'>): number | undefined {
  const { maxOutputTokens, defaultOutputTokens } = required(shape);
  const keepDefaults = candidates.every(({ channel }) => channel.provider !== 'OpenAICompatible');
  return maxOutputTokens ?? (keepDefaults ? defaultOutputTokens : undefined);
}
