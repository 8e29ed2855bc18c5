import type { ChannelSpec } from '../../core/resources.ts';
import type { Problem } from './problem.ts';

/** Whoever sends a message writes these itself, or they would say another length or another way to send it than the proxy uses; undici refuses the request. */
const ofMessage: ReadonlySet<string> = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);
/** The CRD refuses the others of them by name; these two are set by the proxy in any case, and do no harm. */
const overridden: ReadonlySet<string> = new Set(['content-encoding', 'content-type']);

/** RFC 9110 section 5.5, in the bytes that a text of ISO 8859-1 is written in. */
const sendable = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What a Channel puts into the headers of every request has to be something that can be sent, or every request would fail for a reason that nobody is told. */
export function checkHeaders(spec: ChannelSpec): Problem | undefined {
  const { provider, auth, headers = {}, project = '', apiVersion = '' } = spec;
  const version = provider === 'Anthropic' ? apiVersion : '';
  const wrong = [
    ofMessage.has(auth?.header?.toLowerCase() ?? '') ? 'auth.header is a header of the message itself' : undefined,
    ...Object.entries(headers).map(checkHeader),
    sendable.test(project) ? undefined : 'project cannot be sent in a header',
    sendable.test(version) ? undefined : 'apiVersion cannot be sent in a header',
  ].find((each) => each !== undefined);
  return wrong === undefined ? undefined : { reason: 'InvalidHeader', message: `spec.${wrong}`, stalled: true };
}

function checkHeader([name, value]: [string, string]): string | undefined {
  const lower = name.toLowerCase();
  if (ofMessage.has(lower) && !overridden.has(lower)) return `headers "${name}" is a header of the message itself`;
  return sendable.test(value) ? undefined : `headers "${name}" has a value that cannot be sent in a header`;
}
