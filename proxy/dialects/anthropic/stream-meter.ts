import {
  addAnthropicUsage,
  emptyUsage,
  parseAnthropicIterations,
  parseAnthropicUsage,
  parseTiers,
  type Usage,
} from '../../../core/usage.ts';
import { makeEventSplitter, type StreamEvent } from '../../streams/event-stream.ts';
import type { Body, Meter, MeterOptions } from '../dialect.ts';
import { parseJson } from '../../../core/json.ts';
import { makeOutputCount } from '../output-count.ts';
import { isObject } from '../../../core/json.ts';

/**
 * Meter of a Messages stream: `message_start` tells the input, each `message_delta` the output so far (cumulative; fields may be null).
 * All bytes pass as they came. Source: Anthropic API reference, "Streaming Messages".
 */
export function makeAnthropicStreamMeter({ estimatedInputTokens }: MeterOptions): Meter {
  const splitter = makeEventSplitter();
  const output = makeOutputCount();
  let told: Usage | undefined;
  let beside: Usage = emptyUsage;
  let tiers: readonly string[] | undefined;
  // True from a message_delta with a count until more text comes.
  let complete = false;

  function take(usage: unknown): void {
    told = parseAnthropicUsage(usage, told);
    beside = parseAnthropicIterations(usage) ?? beside;
    tiers = parseTiers(usage) ?? tiers;
  }

  function inspect({ data }: StreamEvent): void {
    const event = data === undefined ? undefined : parseJson(data);
    if (!isObject(event)) return;
    if (event['type'] === 'message_start' && isObject(event['message'])) {
      take(event['message']['usage']);
    } else if (event['type'] === 'message_delta') {
      take(event['usage']);
      complete = told !== undefined && isObject(event['usage']) && typeof event['usage']['output_tokens'] === 'number';
    } else if (countDelta(event, output.add)) {
      complete = false;
    }
  }

  return {
    push(chunk) {
      splitter.push(chunk).forEach(inspect);
      return [chunk];
    },
    end() {
      splitter.end().forEach(inspect);
      return [];
    },
    usage() {
      const named = tiers === undefined ? {} : { tiers };
      if (told !== undefined && complete) return { usage: addAnthropicUsage(told, beside), exact: true, ...named };
      const known = told ?? { ...emptyUsage, inputTokens: estimatedInputTokens };
      const flowed = { ...known, outputTokens: Math.max(known.outputTokens, output.tokens()) };
      return { usage: addAnthropicUsage(flowed, beside), exact: false, ...named };
    },
  };
}

/** Text, thinking and the input of tools; signatures are no tokens. */
function countDelta(event: Body, add: (text: unknown) => boolean): boolean {
  const delta = event['type'] === 'content_block_delta' ? event['delta'] : undefined;
  const block = event['type'] === 'content_block_start' ? event['content_block'] : undefined;
  const source = [delta, block].find(isObject);
  return source !== undefined && ['text', 'thinking', 'partial_json'].map((field) => add(source[field])).includes(true);
}
