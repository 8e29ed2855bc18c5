import { emptyUsage, type Usage } from '../../core/usage.ts';
import type { Meter, MeterOptions } from './dialect.ts';
import { makeMemberScan } from './member-scan.ts';

const bytesPerToken = 4;

/** Meter of an answer that is one JSON object: every byte goes on at once, and `usage` is found on the way. */
export function makeJsonMeter({ surface, estimatedInputTokens }: MeterOptions, parseUsage: (value: unknown) => Usage | undefined): Meter {
  const scan = makeMemberScan('usage');
  let bytes = 0;
  return {
    push(chunk) {
      bytes += chunk.length;
      scan.push(chunk);
      return [chunk];
    },
    end: () => [],
    usage() {
      const usage = parseUsage(scan.value());
      if (usage !== undefined) return { usage, exact: true };
      // The frame of the answer is counted with its text: too much by some dozen tokens, never nothing.
      const outputTokens = surface.operation === 'embeddings' ? 0 : Math.ceil(bytes / bytesPerToken);
      return { usage: { ...emptyUsage, inputTokens: estimatedInputTokens, outputTokens }, exact: false };
    },
  };
}

/** Meter of an answer that uses nothing. */
export function makeFreeMeter(): Meter {
  return { push: (chunk) => [chunk], end: () => [], usage: () => undefined };
}
