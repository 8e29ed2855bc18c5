import type { RefusalCode } from '../../../core/refusals.ts';
import type { Client } from './clients.ts';
import type { Method } from './methods.ts';

/** The gateways of a run: each is made so that one thing is wrong with it. */
export type GatewayName = 'usual' | 'full' | 'withoutRedis' | 'starting' | 'broken' | 'stopped clock';

/** One way to be refused. */
export interface RefusalCase {
  readonly code: RefusalCode;
  /** tells the cases of one code apart */
  readonly variant?: string;
  /** name of the virtual key that is shown; keys.ts has them */
  readonly key: string | ((method: Method) => string);
  readonly gateway?: GatewayName;
  /** asked for instead of the method's own model */
  readonly model?: string;
  /** instead of the id of an object */
  readonly id?: string;
  readonly textBytes?: number;
  readonly headers?: (client: Client) => Readonly<Record<string, string>>;
  /** in front of the client's own path */
  readonly path?: string;
  /** adds `reference` of the method */
  readonly refers?: true;
  /** what the limit counts */
  readonly unit?: 'tokens';
  /** the SDK is told that another try is worth it */
  readonly mayRetry?: true;
  /** it comes after the answer has begun */
  readonly inStream?: true;
  /** not ours at all: the provider's own words about the request, which pass */
  readonly isProviders?: true;
  applies(method: Method): boolean;
}

const always = ({ by }: Method): boolean => by !== 'nobody';
const namesModel = (method: Method): boolean => method.model !== undefined;
const byProvider = (method: Method): boolean => method.by === 'provider';
const isStored = ({ stored }: Method): boolean => stored === true;
/** at a provider that the key chooses */
const asksProvider = (method: Method): boolean => byProvider(method) && !isStored(method);
const isStream = (method: Method): boolean => method.answer === 'stream' && asksProvider(method);
const hasBody = (method: Method): boolean => method.body;
const isMetered = (method: Method): boolean => method.metered;
/** a model that may not be used does not exist for whoever asks what there is */
const callsModel = (method: Method): boolean => namesModel(method) && byProvider(method);

const otherKey = 'sk-kw-another-key-of-the-same-program';
/** an address that has tried so many unknown keys that the next is one too many; IPv6 clients count by their network */
export const tiresomeNetwork = '2001:db8:0:1::';

export const refusalCases: readonly RefusalCase[] = [
  { code: 'invalid_api_key', key: 'unknown', applies: always },
  { code: 'key_expired', key: 'expired', applies: always },
  { code: 'key_revoked', key: 'revoked', applies: always },
  { code: 'key_revoked', variant: 'in the stream', key: 'ending', inStream: true, applies: isStream },
  { code: 'key_suspended', key: 'suspended', applies: always },
  { code: 'key_not_ready', key: 'never-accepted', mayRetry: true, applies: always },
  { code: 'ip_not_allowed', key: 'elsewhere', applies: always },
  { code: 'scope_not_allowed', key: ({ scope }) => (scope === 'images' ? 'only-audio' : 'only-images'), applies: always },
  { code: 'model_not_allowed', key: 'other-models', applies: callsModel },
  {
    code: 'model_not_priced',
    key: 'with-budget',
    model: 'nobody-has-priced-this',
    applies: (method) => callsModel(method) && isMetered(method),
  },
  { code: 'model_not_found', key: 'few-models', applies: namesModel },
  { code: 'channel_not_found', key: 'no-channel', applies: (method) => callsModel(method) || isStored(method) },
  { code: 'endpoint_not_supported', key: 'open', applies: ({ by }) => by === 'nobody' },
  { code: 'not_found', key: 'open', path: '/no/such/path', applies: always },
  { code: 'not_found', variant: 'an object of another key', key: 'limited', applies: isStored },
  { code: 'invalid_request', variant: "the provider's own", key: 'to-choosy', isProviders: true, applies: asksProvider },
  { code: 'rate_limit_exceeded', variant: 'requests', key: 'no-requests', applies: asksProvider },
  { code: 'rate_limit_exceeded', variant: 'tokens', key: 'no-tokens', unit: 'tokens', applies: isMetered },
  { code: 'insufficient_quota', key: 'no-money', applies: isMetered },
  { code: 'upstream_rate_limited', key: 'to-throttled', mayRetry: true, applies: asksProvider },
  { code: 'too_many_attempts', key: 'unknown', gateway: 'stopped clock', applies: always },
  { code: 'invalid_request', key: 'open', model: 'no model', id: 'no id', applies: (method) => namesModel(method) || isStored(method) },
  {
    code: 'conflicting_keys',
    key: 'open',
    headers: ({ family }) => ({ [family === 'azure' ? 'x-goog-api-key' : 'api-key']: otherKey }),
    applies: always,
  },
  { code: 'unsupported_reference', key: 'open', refers: true, applies: (method) => method.reference !== undefined },
  { code: 'request_too_large', key: 'open', textBytes: 200_000, applies: hasBody },
  { code: 'unsupported_encoding', key: 'open', headers: () => ({ 'content-encoding': 'compress' }), applies: hasBody },
  { code: 'headers_too_large', key: 'open', headers: () => ({ 'x-long': 'x'.repeat(17_000) }), applies: always },
  { code: 'upstream_unavailable', key: 'to-dead', mayRetry: true, applies: asksProvider },
  {
    code: 'upstream_unavailable',
    variant: 'in the stream',
    key: 'to-breaking',
    inStream: true,
    applies: isStream,
  },
  { code: 'upstream_timeout', key: 'to-silent', mayRetry: true, applies: asksProvider },
  { code: 'limiter_unavailable', key: 'limited', gateway: 'withoutRedis', mayRetry: true, applies: byProvider },
  { code: 'overloaded', key: 'open', gateway: 'full', mayRetry: true, applies: always },
  { code: 'not_ready', key: 'open', gateway: 'starting', mayRetry: true, applies: always },
  { code: 'internal', key: 'open', gateway: 'broken', mayRetry: true, applies: (method) => byProvider(method) || namesModel(method) },
];

/** Refusals that no method of an SDK can run into, and why. */
export const elsewhere: Readonly<Partial<Record<RefusalCode, string>>> = {
  method_not_allowed: 'an SDK uses the method that its endpoint has',
};

export function nameOfCase({ code, variant }: RefusalCase): string {
  return variant === undefined ? `\`${code}\`` : `\`${code}\`, ${variant}`;
}
