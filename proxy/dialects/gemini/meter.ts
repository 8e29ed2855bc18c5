import { emptyUsage, parseGeminiUsage, type Usage } from '../../../core/usage.ts';
import { firstValue } from '../../headers.ts';
import type { Body, Meter, MeterOptions } from '../dialect.ts';
import { makeOutputCount } from '../output-count.ts';
import { isObject } from '../../../core/json.ts';
import { type Element, makeElementSplitter } from './elements.ts';
import { toTier } from './price-fields.ts';
import { countSearches, isSearchedByPrompt } from './searches.ts';
import { makeWholeElements } from './whole-elements.ts';

const bytesPerToken = 4;
/** What is longer and cannot be looked into is an image, and no text of so many tokens. */
const mostCountedBytes = 65_536;

/**
 * Meter of an answer of any form: one object, a list of them, events. Each element may tell the usage until then, and the last one that does is right; every byte passes as it came, of a list with its element.
 * Source: Gemini API reference, "GenerateContentResponse", "EmbedContentResponse".
 */
export function makeGeminiMeter({ surface, stream, headers, estimatedInputTokens }: MeterOptions): Meter {
  const elements = makeElementSplitter();
  const list = surface.streamsList === true && !stream ? makeWholeElements(elements) : undefined;
  const output = makeOutputCount();
  /** by the index of the candidate; told once or again and again */
  const searches = new Map<unknown, number>();
  let uncountedBytes = 0;
  let told: Usage | undefined;
  let tier = toTier(firstValue(headers?.['x-gemini-service-tier']));
  let model = '';
  let textSinceTold = false;
  let finished = false;
  let ended = false;

  function inspect({ value, isWhole, bytes }: Element): void {
    const candidates = (Array.isArray(value['candidates']) ? value['candidates'] : []).filter(isObject);
    const hasText = candidates.map((candidate) => countParts(candidate, output.add)).includes(true) || !isWhole;
    if (!isWhole) uncountedBytes += Math.min(bytes, mostCountedBytes);
    for (const candidate of candidates) noteSearches(candidate);
    if (typeof value['modelVersion'] === 'string') model = value['modelVersion'];
    finished ||= isObject(value['promptFeedback']) || candidates.some(({ finishReason }) => typeof finishReason === 'string');
    const usage = parseGeminiUsage(value['usageMetadata']);
    // what an element tells includes its own text
    textSinceTold = usage === undefined && (textSinceTold || hasText);
    if (usage === undefined) return;
    told = usage;
    tier = toTier((value['usageMetadata'] as Body)['serviceTier']) ?? tier;
  }

  function noteSearches(candidate: Body): void {
    const index = candidate['index'] ?? 0;
    searches.set(index, Math.max(searches.get(index) ?? 0, countSearches(candidate)));
  }

  function addSearches(usage: Usage): Usage {
    const count = [...searches.values()].reduce((sum, each) => sum + each, 0);
    const charged = isSearchedByPrompt(model) ? Math.min(1, count) : count;
    return charged === 0 ? usage : { ...usage, webSearches: charged };
  }

  /** Of an answer whose usage is not told, or not of all of it. */
  function countOutput(): number {
    if (surface.operation === 'embeddings') return 0;
    const pending = Math.min(elements.pendingBytes(), mostCountedBytes);
    return output.tokens() + Math.ceil((uncountedBytes + pending) / bytesPerToken);
  }

  return {
    push(chunk) {
      elements.push(chunk).forEach(inspect);
      return list === undefined ? [chunk] : list.push(chunk);
    },
    end() {
      ended = true;
      return list?.rest() ?? [];
    },
    ...(list === undefined ? {} : { endWith: list.endWith, isCutShort: list.isCutShort }),
    usage() {
      const named = tier === undefined ? {} : { tiers: [tier] };
      const counted = countOutput();
      // output that was seen and is not told would be free
      const isTold = told !== undefined && !textSinceTold && elements.pendingBytes() === 0 && (told.outputTokens > 0 || counted === 0);
      if (told !== undefined && isTold && (finished || ended)) return { usage: addSearches(told), exact: true, ...named };
      const known = told ?? { ...emptyUsage, inputTokens: estimatedInputTokens };
      return { usage: addSearches({ ...known, outputTokens: Math.max(known.outputTokens, counted) }), exact: false, ...named };
    },
  };
}

/** Counts what a model has written: text and thoughts, calls of functions, code. Gives whether there was any. */
function countParts(candidate: Body, add: (text: unknown) => boolean): boolean {
  const content = candidate['content'];
  const parts = isObject(content) && Array.isArray(content['parts']) ? content['parts'] : [];
  return parts
    .filter(isObject)
    .map((part) => toTexts(part).map(add).includes(true))
    .includes(true);
}

/** An image of a usual size is made of so many tokens. Source: Gemini API, "Image generation". */
const imageTokens = 1290;

function toTexts(part: Body): readonly unknown[] {
  const { text, functionCall, executableCode, inlineData } = part;
  const call = isObject(functionCall) ? JSON.stringify(functionCall) : undefined;
  const code = isObject(executableCode) ? executableCode['code'] : undefined;
  const media = isObject(inlineData) ? ' '.repeat(imageTokens * bytesPerToken) : undefined;
  return [text, call, code, media];
}
