import type { Refusal } from '../../../core/refusals.ts';
import { invalid } from '../request-fields.ts';

const usualPage = 50;
const mostOnPage = 1000;

/** What the gateway offers by a model's name; which of it the model can do its provider knows. Programs look for the method that they are about to call. */
const offered = ['generateContent', 'countTokens', 'embedContent', 'batchEmbedContents'];

/** Source: Gemini API reference, "Models": Model. Its limits of tokens and its version are not known here. */
export function toGeminiModel(id: string): object {
  return { name: `models/${id}`, displayName: id, supportedGenerationMethods: offered };
}

/**
 * One page of a list of models in order of their names. A page's token is the name before its first, so that a list that changes meanwhile neither repeats nor skips any other.
 * Source: Gemini API reference, "models.list": pageSize, pageToken.
 */
export function toGeminiPage(names: readonly string[], query: string): object | { readonly refusal: Refusal } {
  const given = new URLSearchParams(query);
  const pageSize = given.get('pageSize') ?? '0';
  if (!/^\d{1,9}$/.test(pageSize)) return { refusal: invalid('pageSize', 'a number') };
  const size = Math.min(Number(pageSize) === 0 ? usualPage : Number(pageSize), mostOnPage);
  const after = Buffer.from(given.get('pageToken') ?? '', 'base64url').toString();
  const rest = names.filter((name) => name > after);
  const page = rest.slice(0, size);
  const last = page.at(-1);
  const next = rest.length > page.length && last !== undefined ? { nextPageToken: Buffer.from(last).toString('base64url') } : {};
  return { models: page.map(toGeminiModel), ...next };
}
