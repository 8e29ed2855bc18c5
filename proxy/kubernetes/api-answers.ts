import type { Dispatcher } from 'undici';

/** What is read of a Secret: its name, version and values in base64. */
export interface SecretItem {
  readonly name: string;
  readonly resourceVersion: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/**
 * Why a call did not do: `gone` = the version asked for is not kept any more (410), or lies in a history that the server does not have; `silent` = nothing came.
 * The message holds no body and no header.
 */
export interface CallFailure {
  readonly reason: 'gone' | 'failed' | 'silent';
  readonly message: string;
  readonly retryAfterMs?: number;
}

export type ListAnswer =
  | {
      readonly ok: true;
      readonly items: readonly SecretItem[];
      readonly resourceVersion: string;
      readonly continueToken: string | undefined;
    }
  | { readonly ok: false; readonly failure: CallFailure };

export type WatchEvent =
  | { readonly type: 'Applied' | 'Deleted'; readonly item: SecretItem }
  | { readonly type: 'Bookmark'; readonly resourceVersion: string };

const longestRetryAfterMs = 300_000;

/** One line of a watch: an event, or why the watch is of no more use. */
export function parseEvent(line: string): WatchEvent | CallFailure {
  const unreadable: CallFailure = { reason: 'failed', message: 'a line of the watch is not an event' };
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return unreadable;
  }
  const type = read(event, 'type');
  const object = read(event, 'object');
  if (type === 'ERROR') return toStatusFailure(object);
  const resourceVersion = read(read(object, 'metadata'), 'resourceVersion');
  if (type === 'BOOKMARK') return typeof resourceVersion === 'string' ? { type: 'Bookmark', resourceVersion } : unreadable;
  const item = toItem(object);
  if (item === undefined) return unreadable;
  if (type === 'ADDED' || type === 'MODIFIED') return { type: 'Applied', item };
  return type === 'DELETED' ? { type: 'Deleted', item } : unreadable;
}

/** The body of a list. */
export function toPage(body: unknown): ListAnswer {
  const metadata = read(body, 'metadata');
  const resourceVersion = read(metadata, 'resourceVersion');
  const continueToken = read(metadata, 'continue');
  const items = read(body, 'items');
  const parsed = Array.isArray(items) ? items.map(toItem) : items === null ? [] : undefined;
  if (typeof resourceVersion !== 'string' || parsed === undefined || parsed.includes(undefined)) {
    return { ok: false, failure: { reason: 'failed', message: 'the answer is not a list of Secrets' } };
  }
  return {
    ok: true,
    items: parsed.filter((item) => item !== undefined),
    resourceVersion,
    continueToken: typeof continueToken === 'string' && continueToken !== '' ? continueToken : undefined,
  };
}

function toItem(object: unknown): SecretItem | undefined {
  const metadata = read(object, 'metadata');
  const name = read(metadata, 'name');
  const resourceVersion = read(metadata, 'resourceVersion');
  if (typeof name !== 'string' || typeof resourceVersion !== 'string') return undefined;
  return { name, resourceVersion, data: (read(object, 'data') ?? {}) as Record<string, unknown> };
}

/** A Status inside a watch (Kubernetes API conventions, "Response Status Kind"). */
function toStatusFailure(status: unknown): CallFailure {
  const code = read(status, 'code');
  const seconds = read(read(status, 'details'), 'retryAfterSeconds');
  return {
    reason: code === 410 ? 'gone' : 'failed',
    message: `the watch broke off: ${toWord(code)} ${toWord(read(status, 'reason'))}`,
    ...(typeof seconds === 'number' ? { retryAfterMs: Math.min(seconds * 1000, longestRetryAfterMs) } : {}),
  };
}

/** An answer that is not 200; its body is read away, so that the connection can be used again. */
export async function toFailure(answer: Dispatcher.ResponseData, namespace: string, nowMs: number): Promise<CallFailure> {
  const { statusCode, headers, body } = answer;
  await body.dump({ limit: 65_536 });
  const hints: Record<number, string> = {
    401: ': it does not accept our token or certificate',
    403: `: the proxy needs list and watch on secrets in namespace ${namespace}`,
    410: ': the version asked for is not kept any more',
  };
  const retryAfterMs = parseRetryAfter(headers['retry-after'], nowMs);
  return {
    reason: statusCode === 410 ? 'gone' : 'failed',
    message: `the API server answered ${statusCode}${hints[statusCode] ?? ''}`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3); a huge one is cut, so that no slip of a server cuts us off for a day. */
function parseRetryAfter(header: string | string[] | undefined, nowMs: number): number | undefined {
  if (typeof header !== 'string') return undefined;
  const waitMs = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isNaN(waitMs) ? undefined : Math.max(0, Math.min(waitMs, longestRetryAfterMs));
}

function toWord(value: unknown): string {
  return typeof value === 'number' || (typeof value === 'string' && /^\w{1,64}$/.test(value)) ? String(value) : 'unknown';
}

function read(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
