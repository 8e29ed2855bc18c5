import { ClusterError } from '../cluster.ts';

const longestRetryAfterMs = 300_000;

/** An answer of the API server: its code and its decoded JSON (undefined when it was none). */
export interface Answer {
  readonly code: number;
  readonly body: unknown;
  /** of the Retry-After header */
  readonly retryAfterMs: number | undefined;
}

/** meta/v1 Status, of which only this is ever looked at */
export interface StatusLike {
  readonly reason: string;
  readonly message: string;
  readonly code: number | undefined;
  readonly causes: readonly string[];
  readonly retryAfterMs: number | undefined;
}

/** Reads a meta/v1 Status; whatever is not there is empty. */
export function parseStatus(body: unknown): StatusLike {
  const details = fieldOf(body, 'details');
  const causes = fieldOf(details, 'causes');
  const seconds = fieldOf(details, 'retryAfterSeconds');
  const code = fieldOf(body, 'code');
  return {
    reason: textOf(fieldOf(body, 'reason')),
    message: textOf(fieldOf(body, 'message')),
    code: typeof code === 'number' ? code : undefined,
    causes: Array.isArray(causes) ? causes.map((cause) => textOf(fieldOf(cause, 'reason'))) : [],
    retryAfterMs: typeof seconds === 'number' && seconds > 0 ? Math.min(seconds * 1000, longestRetryAfterMs) : undefined,
  };
}

/** The version from which to watch is too old (410), or from another life of the server's store: list anew. */
export class ExpiredError extends ClusterError {
  constructor() {
    super('Unavailable', 'the resource version has expired');
  }
}

/** The version asked for is not kept any more (410): everything has to be listed anew. */
export function isExpired(error: unknown): boolean {
  return error instanceof ExpiredError;
}

/**
 * The error of an answer that is not what the caller hoped for. Of a confidential subject (a Secret) the server's words are not taken
 * over, since they quote values; of others the first 300 characters are.
 */
export function toClusterError(answer: Answer, subject: string, confidential: boolean): ClusterError {
  const status = parseStatus(answer.body);
  if (answer.code === 410 || status.causes.includes('ResourceVersionTooLarge')) return new ExpiredError();
  const words = confidential || status.message === '' ? '' : `: ${status.message.slice(0, 300)}`;
  // A reason is one CamelCase word of a fixed list; anything else did not come from an API server.
  const reason = /^[A-Za-z]{1,40}$/.test(status.reason) ? ` ${status.reason}` : '';
  return new ClusterError(toReason(answer.code), `${subject}: ${answer.code}${reason}${words}`, answer.retryAfterMs ?? status.retryAfterMs);
}

function toReason(code: number): ClusterError['reason'] {
  if (code === 401) return 'Unauthorized';
  if (code === 403) return 'Forbidden';
  if (code === 429) return 'Throttled';
  // 404 here means that the kind itself is not served (yet), 408 that somebody was too slow: all mend by themselves.
  if (code >= 500 || code === 404 || code === 408 || code === 409) return 'Unavailable';
  return 'Invalid';
}

/** RFC 9110, section 10.2.3: seconds or a date. Never longer than five minutes: no slip of a server may end our work, or overflow a timer so that it fires at once. */
export function parseRetryAfterMs(header: unknown, nowMs: number): number | undefined {
  if (typeof header !== 'string') return undefined;
  if (/^\d+$/.test(header.trim())) return Math.min(Number(header) * 1000, longestRetryAfterMs);
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? undefined : Math.min(Math.max(0, atMs - nowMs), longestRetryAfterMs);
}

/** A field of what may be no object; undefined where it is none. */
export function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
