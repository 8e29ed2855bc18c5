import type { Body } from '../dialect.ts';
import { hasItems, type PriceFields } from '../price-fields.ts';
import { isObject } from '../../../core/json.ts';
import { toNumber } from '../request-fields.ts';

/** A tool for searches without a bound is taken to make so many in one request; more are charged all the same when they are told. */
const assumedSearches = 10;

/** A tool that asks another model for advice is taken to be used so often in one request. */
const assumedAdvice = 3;
/** The least that an edit of the context can be told to begin at. */
const leastCompacted = 50_000;

/** Source: Anthropic API reference, "Messages": service_tier, speed, inference_geo, "Web search tool" and "Advisor tool": max_uses, "Compaction": context_management, compaction. */
export function toAnthropicPriceFields(body: Body): PriceFields {
  const { service_tier: serviceTier } = body;
  const tools = toObjects(body['tools']);
  return {
    hasTools: hasItems(body['tools']),
    serviceTier: typeof serviceTier === 'string' ? serviceTier : undefined,
    modes: [body['speed'], body['inference_geo']].filter((mode) => typeof mode === 'string'),
    webSearches: usesOf(tools, 'web_search_', assumedSearches),
    compactsFromTokens: toCompactsFrom(body),
    advice: usesOf(tools, 'advisor_', assumedAdvice),
  };
}

function toCompactsFrom({ compaction, context_management: management }: Body): number | undefined {
  if (isObject(compaction)) return 0;
  const edits = toObjects(isObject(management) ? management['edits'] : undefined);
  return edits.some(({ type }) => String(type).startsWith('compact_')) ? leastCompacted : undefined;
}

function toObjects(value: unknown): readonly Body[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function usesOf(tools: readonly Body[], prefix: string, assumed: number): number {
  return tools.filter(({ type }) => String(type).startsWith(prefix)).reduce((sum, tool) => sum + toUses(tool, assumed), 0);
}

function toUses(tool: Body, assumed: number): number {
  const uses = toNumber(tool, 'max_uses') ?? assumed;
  // the provider refuses what is no count; here it must only not break the sum
  return Number.isSafeInteger(uses) && uses >= 0 && uses <= 1000 ? uses : assumed;
}
