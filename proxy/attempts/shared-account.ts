import { createHash } from 'node:crypto';
import type { Refusal } from '../../core/refusals.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import type { Body, Splice } from '../dialects/dialect.ts';
import { type Exchange, required } from '../exchange.ts';

/** OpenAI takes no longer one. Source: OpenAI API reference, "prompt_cache_key". */
const longestCacheKey = 64;

/** Channels whose account may not be asked for the service tier of the request are left out; refuses when none is left. */
export function checkServiceTier(exchange: Exchange): Refusal | undefined {
  if (exchange.driver?.takesAccountFields !== true) return undefined;
  const tier = required(exchange.body).value['service_tier'];
  if (typeof tier !== 'string') return undefined;
  const candidates = exchange.candidates.filter(({ channel }) => channel.sharedAccount?.serviceTiers?.includes(tier) ?? true);
  exchange.candidates = candidates;
  if (candidates.length > 0) return undefined;
  return { code: 'invalid_request', message: 'This value of "service_tier" may not be used here.', param: 'service_tier' };
}

/** What a channel wants changed in a request of this key, so that the provider can tell its tenants apart. */
export function toAccountSplices({ driver, key }: Pick<Exchange, 'driver' | 'key'>, channel: ChannelRecord, body: Body): readonly Splice[] {
  const { promptCacheKey, safetyIdentifier } = channel.sharedAccount ?? {};
  if (driver?.takesAccountFields !== true) return [];
  const keyId = required(key).record.id;
  return [
    ...(promptCacheKey === 'Prefix' ? [toSplice('prompt_cache_key', toCacheKey(keyId, body['prompt_cache_key']))] : []),
    ...(safetyIdentifier === 'FromKey' ? [toSplice('safety_identifier', digest(`safety\n${keyId}`))] : []),
  ];
}

/** Without a key of its own a request would still share a cache with whoever begins alike. */
function toCacheKey(keyId: string, given: unknown): string {
  const prefix = digest(`cache\n${keyId}`).slice(0, 16);
  if (typeof given !== 'string' || given === '') return prefix;
  const whole = `${prefix}-${given}`;
  return whole.length <= longestCacheKey ? whole : `${prefix}-${digest(given)}`;
}

function toSplice(field: string, value: string): Splice {
  return { field, json: JSON.stringify(value) };
}

/** 128 bits: it names a tenant and does not tell which. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
