import { emptyUsage, parseResponsesUsage, parseTiers, type Usage } from '../../../core/usage.ts';
import { makeEventSplitter, type StreamEvent } from '../../streams/event-stream.ts';
import type { Body, Meter, MeterOptions } from '../dialect.ts';
import { parseJson } from '../../../core/json.ts';
import { makeOutputCount } from '../output-count.ts';
import { isObject } from '../../../core/json.ts';
import { makeLongEvent } from './long-event.ts';
import { isSearch } from './responses-price-fields.ts';

/** One of these is the last word of every stream. */
const lastWords: ReadonlySet<unknown> = new Set([
  'response.completed',
  'response.incomplete',
  'response.failed',
  'response.cancelled',
  'error',
]);

/** Deltas that are no text: what they hold is not what the model has written token by token. */
const noText: ReadonlySet<unknown> = new Set(['response.audio.delta', 'response.shell_call_output_content.delta']);

/**
 * Meter of a Responses stream: its last event holds the response with its usage. All bytes pass as they came. A stream without such an event is cut short, even where the
 * connection ended well. Source: OpenAI API reference, "Streaming events".
 */
export function makeResponsesStreamMeter({ estimatedInputTokens }: MeterOptions): Meter {
  const splitter = makeEventSplitter();
  const output = makeOutputCount();
  let told: Usage | undefined;
  let tiers: readonly string[] | undefined;
  let webSearches = 0;
  let isOver = false;
  let nextSequenceNumber = 0;
  const longEvent = makeLongEvent();

  function inspect({ bytes, data }: StreamEvent): void {
    if (data === undefined) return inspectUnread(bytes);
    longEvent.clear();
    const event = data === '[DONE]' ? undefined : parseJson(data);
    if (!isObject(event)) return;
    if (typeof event['sequence_number'] === 'number') nextSequenceNumber = event['sequence_number'] + 1;
    if (lastWords.has(event['type'])) isOver = true;
    if (event['type'] === 'response.output_item.done' && isSearch(event['item'])) webSearches += 1;
    if (isObject(event['response'])) take(event['response']);
    if (!noText.has(event['type'])) output.add(event['delta']);
  }

  /** A comment, or a piece of an event that is too long to be read. */
  function inspectUnread(bytes: Buffer): void {
    longEvent.push(bytes);
    if (!longEvent.isOneOf(lastWords)) return;
    isOver = true;
    told = parseResponsesUsage(longEvent.usage()) ?? told;
  }

  function take(response: Body): void {
    tiers = parseTiers(response) ?? tiers;
    told = parseResponsesUsage(response['usage']) ?? told;
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
      const searches = webSearches === 0 ? {} : { webSearches };
      if (told !== undefined && isOver) return { usage: { ...told, ...searches }, exact: true, ...named };
      const known = told ?? { ...emptyUsage, inputTokens: estimatedInputTokens };
      return { usage: { ...known, ...searches, outputTokens: Math.max(known.outputTokens, output.tokens()) }, exact: false, ...named };
    },
    isCutShort: () => !isOver,
    nextSequenceNumber: () => nextSequenceNumber,
  };
}
