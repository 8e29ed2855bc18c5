import type { Dialect } from '../../core/refusals.ts';
import type { Target } from './target.ts';

const prefixes: readonly (readonly [string, Dialect])[] = [
  ['/anthropic/', 'Anthropic'],
  ['/gemini/', 'Gemini'],
  ['/v1beta/', 'Gemini'],
  ['/v1alpha/', 'Gemini'],
  ['/openai/', 'OpenAI'],
];

/**
 * The dialect in which a client expects its answers on a path that several dialects share, and on unknown ones: the path prefix; else `anthropic-version`; else
 * `x-goog-api-key` or `?key=`; else OpenAI.
 */
export function toClientDialect(target: Target, headers: Readonly<Record<string, unknown>>): Dialect {
  const prefix = prefixes.find(([start]) => target.path.startsWith(start));
  if (prefix !== undefined) return prefix[1];
  if (headers['anthropic-version'] !== undefined) return 'Anthropic';
  const hasGoogleKey = headers['x-goog-api-key'] !== undefined || (target.query !== '' && new URLSearchParams(target.query).has('key'));
  return hasGoogleKey ? 'Gemini' : 'OpenAI';
}
