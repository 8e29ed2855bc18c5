import { parseJson } from './json.ts';
import { tagOf } from './hash-tag.ts';
import type { UsageEvent } from './usage-event.ts';
import { emptyUsage, type Usage } from './usage.ts';

/** The Stream into which settlements write what requests used, of all keys of one tag. One field, `e`: a UsageEvent as JSON. */
export function usageStreamKey(tag: string): string {
  return `kw:{${tag}}:usage`;
}

/** The stream in Redis that tells of this key. */
export function usageStreamOf(keyId: string): string {
  return usageStreamKey(tagOf(keyId));
}

export const usageEventField = 'e';

/** Before every entry. */
export const firstStreamId = '0-0';
const idPattern = /^(\d{1,20})-(\d{1,20})$/;

/** Whether it is an id of a stream's entry, as Redis writes them. */
export function isStreamId(text: unknown): text is string {
  return typeof text === 'string' && idPattern.test(text);
}

/** Negative: `left` came before `right`. Ids are `<milliseconds>-<number>`. */
export function compareStreamIds(left: string, right: string): number {
  const [, leftMs = '0', leftNumber = '0'] = idPattern.exec(left) ?? [];
  const [, rightMs = '0', rightNumber = '0'] = idPattern.exec(right) ?? [];
  return Number(leftMs) - Number(rightMs) || Number(leftNumber) - Number(rightNumber);
}

/** When the entry was written, milliseconds since 1970 by the store's clock. */
export function timeOfStreamId(id: string): number {
  return Number(idPattern.exec(id)?.[1] ?? 0);
}

const keyIdPattern = /^[^\s/]{1,63}\/[^\s/]{1,253}$/;

/** Undefined: nothing that a proxy could have written. What a newer one adds is passed over. */
export function parseUsageEvent(text: string): UsageEvent | undefined {
  const value = parseJson(text);
  if (!isEvent(value)) return undefined;
  const { requestId, keyId, dialect, status, durationMs } = value;
  return {
    requestId,
    keyId,
    ...(dialect !== undefined && { dialect }),
    status,
    usage: toUsage(value.usage),
    durationMs: isCount(durationMs) ? durationMs : 0,
    ...toExtras(value),
  };
}

/** Has it what none can lack? */
function isEvent(value: unknown): value is UsageEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { requestId, keyId, dialect, status } = value as Partial<Record<keyof UsageEvent, unknown>>;
  const isNamed = typeof requestId === 'string' && requestId !== '' && typeof keyId === 'string' && keyIdPattern.test(keyId);
  const isKnown = dialect === undefined || dialect === 'OpenAI' || dialect === 'Anthropic' || dialect === 'Gemini';
  return isNamed && isCount(status) && isKnown;
}

function toExtras({ channel, model, costNanoUsd }: UsageEvent): Pick<UsageEvent, 'channel' | 'model' | 'costNanoUsd'> {
  return {
    ...(typeof channel === 'string' && { channel }),
    ...(typeof model === 'string' && { model }),
    ...(isCount(costNanoUsd) && { costNanoUsd }),
  };
}

/** Only the counts that this version knows. */
function toUsage(value: unknown): Usage {
  const given = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<keyof Usage, unknown>>;
  const names = Object.keys(emptyUsage) as (keyof Usage)[];
  return { ...emptyUsage, ...Object.fromEntries(names.map((name) => [name, isCount(given[name]) ? given[name] : 0])) };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
