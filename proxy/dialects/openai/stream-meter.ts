import { emptyUsage, parseOpenAIUsage, parseTiers, type Usage } from '../../../core/usage.ts';
import { joinNeighbours, makeEventSplitter, type StreamEvent } from '../../streams/event-stream.ts';
import type { Body, Meter, MeterOptions } from '../dialect.ts';
import { parseJson } from '../../../core/json.ts';
import { makeOutputCount } from '../output-count.ts';
import { isObject } from '../../../core/json.ts';

/**
 * Meter of a stream of chat or of the older completions. Usage is in the last chunk, whose `choices` are empty when it was asked for by
 * `stream_options.include_usage`; some compatible servers put running totals into every chunk.
 * Withholding holds an incomplete event and drops the usage chunk; without it every chunk passes as it came.
 * Source: OpenAI API reference, "Chat completion chunk object".
 */
export function makeOpenAIStreamMeter({ withholdUsage, estimatedInputTokens }: MeterOptions): Meter {
  const splitter = makeEventSplitter();
  const output = makeOutputCount();
  let told: Usage | undefined;
  let tiers: readonly string[] | undefined;
  // Set by the usage chunk, unset by text that comes after it: a running total is not the last word.
  let complete = false;
  let textSinceTold = false;
  let ended = false;

  /** Gives whether the client may see the event. */
  function inspect({ data }: StreamEvent): boolean {
    const chunk = data === undefined || data === '[DONE]' ? undefined : parseJson(data);
    if (!isObject(chunk)) return true;
    const choices = Array.isArray(chunk['choices']) ? chunk['choices'] : [];
    const usage = findUsage(chunk, choices);
    tiers = parseTiers(chunk) ?? tiers;
    const hasText = choices.map((choice) => countChoice(choice, output.add)).includes(true);
    const isUsageChunk = Array.isArray(chunk['choices']) && choices.length === 0 && isObject(chunk['usage']);
    if (usage !== undefined) {
      told = usage;
      complete = isUsageChunk;
      textSinceTold = false;
    } else if (hasText) {
      complete = false;
      textSinceTold = true;
    }
    return !isUsageChunk;
  }

  function pass(events: readonly StreamEvent[]): readonly Buffer[] {
    return joinNeighbours(events.filter(inspect).map(({ bytes }) => bytes));
  }

  return {
    push(chunk) {
      const visible = pass(splitter.push(chunk));
      return withholdUsage ? visible : [chunk];
    },
    end() {
      const visible = pass(splitter.end());
      ended = true;
      return withholdUsage ? visible : [];
    },
    usage() {
      const named = tiers === undefined ? {} : { tiers };
      if (told !== undefined && (complete || (ended && !textSinceTold))) return { usage: told, exact: true, ...named };
      const known = told ?? { ...emptyUsage, inputTokens: estimatedInputTokens };
      return { usage: { ...known, outputTokens: Math.max(known.outputTokens, output.tokens()) }, exact: false, ...named };
    },
  };
}

/** In the chunk itself; Groq's are in `x_groq`, Moonshot's in the last choice. */
function findUsage(chunk: Body, choices: readonly unknown[]): Usage | undefined {
  return [chunk, chunk['x_groq'], ...choices].reduce<Usage | undefined>(
    (found, place) => found ?? (isObject(place) ? parseOpenAIUsage(place['usage']) : undefined),
    undefined,
  );
}

/** Everything that a model may have written: text, refusal, reasoning (two names of compatible servers), calls of tools. */
function countChoice(choice: unknown, add: (text: unknown) => boolean): boolean {
  if (!isObject(choice)) return false;
  // the older completions have their text in the choice itself
  if (add(choice['text'])) return true;
  const delta = choice['delta'];
  if (!isObject(delta)) return false;
  const texts = ['content', 'refusal', 'reasoning_content', 'reasoning'].map((field) => delta[field]);
  const calls = Array.isArray(delta['tool_calls'])
    ? delta['tool_calls'].map((call: unknown) => (isObject(call) ? call['function'] : undefined))
    : [];
  const functions = [...calls, delta['function_call']].filter(isObject).flatMap((call: Body) => [call['name'], call['arguments']]);
  return [...texts, ...functions].map(add).includes(true);
}
