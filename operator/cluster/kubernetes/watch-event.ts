import { parseJson } from '../../../core/json.ts';
import type { ClusterObject, Kind } from '../cluster.ts';
import { ClusterError } from '../cluster.ts';
import { ExpiredError, fieldOf, parseStatus } from './answer.ts';
import { parseReflected } from './decode.ts';

export type WatchEvent<T extends ClusterObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T; readonly resourceVersion: string }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }
  | { readonly type: 'ERROR'; readonly error: ClusterError };

/** One line of a watch. Throws a ClusterError, without the line in it, for what is no event. */
export function parseWatchLine<T extends ClusterObject>(line: string, kind: Kind): WatchEvent<T> {
  const value = parseJson(line);
  const type = fieldOf(value, 'type');
  const body = fieldOf(value, 'object');
  if (type === 'ERROR') return { type, error: toWatchError(body, kind) };
  const resourceVersion = fieldOf(fieldOf(body, 'metadata'), 'resourceVersion');
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    throw new ClusterError('Unavailable', `the watch of ${kind} told something unknown`);
  if (type === 'BOOKMARK') return { type, resourceVersion };
  const object = parseReflected<T>(body, kind);
  if (object === undefined || (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED')) {
    throw new ClusterError('Unavailable', `the watch of ${kind} told something unknown`);
  }
  return { type, object, resourceVersion };
}

function toWatchError(body: unknown, kind: Kind): ClusterError {
  const status = parseStatus(body);
  if (status.code === 410 || status.reason === 'Expired' || status.reason === 'Gone') return new ExpiredError();
  const reason = /^[A-Za-z]{1,40}$/.test(status.reason) ? status.reason : 'an error';
  return new ClusterError(
    status.code === 429 ? 'Throttled' : 'Unavailable',
    `the watch of ${kind} ended with ${reason}`,
    status.retryAfterMs,
  );
}
