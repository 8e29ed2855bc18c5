import { emptyUsage, parseTiers, type Usage } from '../../core/usage.ts';
import type { Meter, MeterOptions } from './dialect.ts';
import { makeMemberScan } from './member-scan.ts';

const bytesPerToken = 4;

/** Meter of an answer that is one JSON object: every byte goes on at once, and `usage` is found on the way. */
export function makeJsonMeter({ surface, estimatedInputTokens }: MeterOptions, parseUsage: (value: unknown) => Usage | undefined): Meter {
  // OpenAI names the tier beside the usage, Anthropic inside it
  const scan = makeMemberScan('usage', 'service_tier');
  let bytes = 0;
  return {
    push(chunk) {
      bytes += chunk.length;
      scan.push(chunk);
      return [chunk];
    },
    end: () => [],
    usage() {
      const usage = parseUsage(scan.value('usage'));
      const tiers = parseTiers({ service_tier: scan.value('service_tier') }) ?? parseTiers(scan.value('usage'));
      const named = tiers === undefined ? {} : { tiers };
      if (usage !== undefined) return { usage, exact: true, ...named };
      // The frame of the answer is counted with its text: too much by some dozen tokens, never nothing.
      const outputTokens = surface.operation === 'chat' ? Math.ceil(bytes / bytesPerToken) : 0;
      return { usage: { ...emptyUsage, inputTokens: estimatedInputTokens, outputTokens }, exact: false, ...named };
    },
  };
}

/** Meter of an answer that uses nothing. */
export function makeFreeMeter(): Meter {
  return { push: (chunk) => [chunk], end: () => [], usage: () => undefined };
}
