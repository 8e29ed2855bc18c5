import type { Dialect } from '../core/refusals.ts';
import type { ChannelRecord } from '../core/snapshot.ts';

/** Name, value, name, value …: the form that `node:http` and undici read without copying. */
export type RawHeaders = readonly string[];

/** RFC 9110 section 7.6.1, with the ones that browsers and old proxies add. */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
];

/** The headers a virtual key may stand in; none is forwarded, whatever its value. */
export const keyHeaders: ReadonlySet<string> = new Set(['authorization', 'x-api-key', 'x-goog-api-key', 'api-key']);
/** Azure's API Management reads it before `api-key`: a client could have the credential of all taken for dead. */
const otherKeyHeader = 'ocp-apim-subscription-key';

/** What a client says that no provider hears: ours to set, or about the way to us. */
const notForwarded: ReadonlySet<string> = new Set([
  ...hopByHop,
  ...keyHeaders,
  otherKeyHeader,
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'accept-encoding',
  'expect',
  'cookie',
  'cookie2',
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-forwarded-for',
  'true-client-ip',
  'cf-connecting-ip',
  'fastly-client-ip',
  'x-request-id',
  'x-amz-security-token',
  // where a page in a browser comes from: Anthropic answers 401 to it, which would be taken for a dead credential, and whether browsers may call is decided here (cors.ts)
  'origin',
  'referer',
  // some servers take these for the method or the path, which only the route may tell
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
]);
const notForwardedPrefixes = ['x-forwarded-', 'x-keywright-', 'x-envoy-', 'proxy-', 'cf-', 'sec-', 'access-control-'];

/** What a provider says that no client hears: about the account that many share, about connections, or ours to set. */
const notReturned: ReadonlySet<string> = new Set([
  ...hopByHop,
  'content-encoding',
  'content-length',
  'date',
  'set-cookie',
  'set-cookie2',
  'server',
  'via',
  'alt-svc',
  'strict-transport-security',
  'nel',
  'report-to',
  'location',
  'content-location',
  'www-authenticate',
  'openai-organization',
  'openai-project',
  'anthropic-organization-id',
  'x-request-id',
  'request-id',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
]);
const notReturnedPrefixes = [
  // what another gateway tells of its key
  'x-litellm-key-',
  'x-keywright-',
  'cf-',
  'x-envoy-',
  'access-control-',
  'anthropic-priority-',
  'anthropic-fast-',
];

/** Limits of the account, as many providers as there are tell them under as many names: `x-ratelimit-…`, `ratelimitbysize-…`, `x-tokenlimit-…`, `x-endpoint-monthly-call-limit`. */
const aboutLimits = /(?:rate|token|call)-?limit/;

/** The Messages API refuses requests without a version; this is the one that all SDKs send. */
const defaultAnthropicVersion = '2023-06-01';

export interface UpstreamHeadersInput {
  /** as received */
  readonly client: RawHeaders;
  /** the virtual key's text: a header that repeats it under any other name is dropped as well */
  readonly presentedKey: string;
  readonly channel: ChannelRecord;
  /** the provider credential's text; absent = the upstream needs none */
  readonly credential: string | undefined;
  readonly dialect: Dialect;
  /** absent = the request has no body */
  readonly contentType: string | undefined;
}

/** Headers of a request to a provider: the client's own, less what is not for the provider, plus the Channel's and the provider credential. */
export function toUpstreamHeaders(input: UpstreamHeadersInput): string[] {
  const { client, presentedKey, channel } = input;
  const own = toOwnHeaders(input);
  const nominated = readConnectionOptions(client);
  const credentialHeader = channel.authHeader.toLowerCase();
  const headers: string[] = [];
  for (let index = 0; index + 1 < client.length; index += 2) {
    const name = client[index] as string;
    const value = client[index + 1] as string;
    const lower = name.toLowerCase();
    if (!isForProvider(lower) || nominated.has(lower) || own.has(lower) || lower === credentialHeader) continue;
    if (presentedKey === '' || !value.includes(presentedKey)) headers.push(name, value);
  }
  if (input.dialect === 'Anthropic' && !own.has('anthropic-version') && !hasHeader(headers, 'anthropic-version')) {
    own.set('anthropic-version', toAnthropicVersion(channel));
  }
  for (const [name, value] of own) headers.push(name, value);
  return headers;
}

function toAnthropicVersion({ apiVersion = defaultAnthropicVersion }: ChannelRecord): string {
  return apiVersion;
}

/**
 * Google's servers take a project to bill, a mask of the answer's fields (which would hide the usage) and credentials from headers of this kind; one of them only says which SDK calls.
 */
function isGoogleControl(name: string): boolean {
  return name.startsWith('x-goog-') && name !== 'x-goog-api-client';
}

function isForProvider(name: string): boolean {
  return !notForwarded.has(name) && !isGoogleControl(name) && !notForwardedPrefixes.some((prefix) => name.startsWith(prefix));
}

function toOwnHeaders({ channel, credential, contentType }: UpstreamHeadersInput): Map<string, string> {
  const own = new Map<string, string>();
  for (const [name, value] of Object.entries(channel.headers)) own.set(name.toLowerCase(), value);
  if (channel.project !== undefined) own.set('openai-project', channel.project);
  if (contentType !== undefined) own.set('content-type', contentType);
  // a coded answer would hide its usage from us
  own.set('accept-encoding', 'identity');
  if (credential !== undefined)
    own.set(channel.authHeader.toLowerCase(), channel.authScheme === '' ? credential : `${channel.authScheme} ${credential}`);
  return own;
}

/** Headers that `Connection` names are for this hop only (RFC 9110 section 7.6.1). */
function readConnectionOptions(headers: RawHeaders): ReadonlySet<string> {
  const names = new Set<string>();
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] as string;
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue;
    for (const option of (headers[index + 1] as string).split(',')) names.add(option.trim().toLowerCase());
  }
  return names;
}

function hasHeader(headers: RawHeaders, wanted: string): boolean {
  return headers.some((name, index) => index % 2 === 0 && name.toLowerCase() === wanted);
}

/** As undici gives them: lower-case names. */
export type ReceivedHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Headers of a provider's answer that go on to the client; any value that holds the provider credential is dropped, wherever it stands. */
export function toClientHeaders(received: ReceivedHeaders, credential: string | undefined): string[] {
  const nominated = new Set(
    firstValue(received['connection'])
      ?.split(',')
      .map((option) => option.trim().toLowerCase()),
  );
  const headers: string[] = [];
  for (const [name, values] of Object.entries(received)) {
    if (
      values === undefined ||
      notReturned.has(name) ||
      nominated.has(name) ||
      aboutLimits.test(name) ||
      notReturnedPrefixes.some((prefix) => name.startsWith(prefix))
    )
      continue;
    for (const value of Array.isArray(values) ? values : [values]) {
      if (credential === undefined || !value.includes(credential)) headers.push(name, value);
    }
  }
  return headers;
}

/** Of a header that came more than once the first counts. */
export function firstValue(values: string | string[] | undefined): string | undefined {
  return Array.isArray(values) ? values[0] : values;
}
