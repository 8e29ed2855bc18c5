import type { Refusal } from '../../core/refusals.ts';

/** The target of a request line in origin form (RFC 9112 section 3.2.1), known to be plain. */
export interface Target {
  /** as sent, percent-encoding included */
  readonly path: string;
  /** without the question mark; `''` when there is none */
  readonly query: string;
}

/**
 * Splits a raw request target. Refuses (`invalid_request`) whatever a router, a proxy and a provider could read differently: absolute and authority form, `//`, `\`,
 * control characters, `#`, bytes beyond ASCII, `.` and `..` segments, and the same behind percent-encoding (`%2f`, `%5c`, `%2e%2e`, `%00`).
 */
export function parseTarget(raw: string): Target | Refusal {
  const mark = raw.indexOf('?');
  const path = mark === -1 ? raw : raw.slice(0, mark);
  const query = mark === -1 ? '' : raw.slice(mark + 1);
  return isPlainPath(path) && isPlainQuery(query) ? { path, query } : oddTarget;
}

export function isRefusal(value: object): value is Refusal {
  return 'code' in value;
}

const oddTarget: Refusal = { code: 'invalid_request', message: 'the request target is not a plain path' };

const simplePath = /^(?:\/[A-Za-z0-9_-][A-Za-z0-9_.:@-]*)+$/;

function isPlainPath(path: string): boolean {
  // nearly every request ends here
  if (simplePath.test(path)) return true;
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (!path.startsWith('/') || path.includes('//') || /[^\x21-\x7e]|[\\#<>"^`{|}]/.test(path)) return false;
  const decoded = decode(path);
  // eslint-disable-next-line no-control-regex -- as above
  if (decoded === undefined || /%(?:2f|5c)/i.test(path) || /[\x00-\x1f\x7f]/.test(decoded)) return false;
  return !decoded.split('/').some((segment) => segment === '.' || segment === '..');
}

function isPlainQuery(query: string): boolean {
  if (query === '') return true;
  const decoded = decode(query);
  // eslint-disable-next-line no-control-regex -- as above
  return decoded !== undefined && !/[^\x21-\x7e]|[\\#]/.test(query) && !/[\x00-\x1f\x7f]/.test(decoded);
}

/** `undefined` for percent-encoding that is cut off or gives no UTF-8. */
function decode(text: string): string | undefined {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
