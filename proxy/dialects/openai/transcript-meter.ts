import { emptyUsage, parseOpenAIMediaUsage, type Usage } from '../../../core/usage.ts';
import { firstValue } from '../../headers.ts';
import type { Meter, MeterOptions } from '../dialect.ts';
import { makeMemberScan } from '../member-scan.ts';
import { makeMediaStreamMeter } from './media-meter.ts';

const bytesPerToken = 4;

/**
 * Meter of a transcript: JSON that tells tokens or seconds (`usage`, or `duration` in the verbose format); events of which the last one tells; or subtitles and plain text, which
 * tell nothing, so that the recording is estimated. Sources: OpenAI API reference, "Create transcription", "transcript.text.done".
 * @param estimatedMilliseconds of the recording
 */
export function makeTranscriptMeter(options: MeterOptions, estimatedMilliseconds: number): Meter {
  const inner = options.stream ? makeStreamMeter(options) : makeBodyMeter(options);
  return {
    push: inner.push,
    end: inner.end,
    usage() {
      const told = inner.told();
      if (told !== undefined) return { usage: told, exact: true };
      // nobody knows here whether the model is sold by the token or by the second
      const outputTokens = inner.estimateTokens();
      return {
        usage: { ...emptyUsage, inputTokens: options.estimatedInputTokens, outputTokens, audioMilliseconds: estimatedMilliseconds },
        exact: false,
      };
    },
  };
}

interface InnerMeter extends Pick<Meter, 'push' | 'end'> {
  told(): Usage | undefined;
  /** of the output */
  estimateTokens(): number;
}

/** A text could look like JSON that tells a usage; only what the provider calls JSON is believed. */
function makeBodyMeter({ headers = {} }: MeterOptions): InnerMeter {
  const isJson = /^\s*application\/json\b/i.test(firstValue(headers['content-type']) ?? '');
  const scan = isJson ? makeMemberScan('usage', 'duration') : undefined;
  let bytes = 0;
  return {
    push(chunk) {
      bytes += chunk.length;
      scan?.push(chunk);
      return [chunk];
    },
    end: () => [],
    // the same reader takes the seconds of either
    told: () => parseOpenAIMediaUsage(scan?.value('usage')) ?? parseOpenAIMediaUsage({ seconds: scan?.value('duration') }),
    estimateTokens: () => Math.ceil(bytes / bytesPerToken),
  };
}

function makeStreamMeter({ shape, ...options }: MeterOptions): InnerMeter {
  const meter = makeMediaStreamMeter(options);
  return {
    push: (chunk) => meter.push(chunk),
    end: () => meter.end(),
    told() {
      const metered = meter.usage();
      return metered?.exact === true ? metered.usage : undefined;
    },
    estimateTokens: () => shape?.estimatedOutputTokens ?? 0,
  };
}
