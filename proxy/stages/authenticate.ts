import { checkStanding } from '../../core/authorize.ts';
import type { Refusal } from '../../core/refusals.ts';
import { Secret } from '../../core/secret.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import type { Exchange } from '../exchange.ts';
import type { Parts } from '../parts.ts';
import { readPresentedKeys } from '../keys/presented-keys.ts';
import { toOverruledRefusal } from '../keys/revocations.ts';

/** An unknown key may be a new one while changes do not arrive: after so long a 401 would be a guess. */
const staleAfterMs = 10_000;

/** Stage 1: whose key is it, and may it be used at all now? Works on the request's headers and query alone. */
export function authenticate(exchange: Exchange, parts: Parts): Refusal | undefined {
  const [text, other] = readPresentedKeys(exchange.request.rawHeaders, exchange.target.query);
  if (text === undefined) return fail(parts, 'missing', { code: 'invalid_api_key', message: 'No API key was given.', missing: true });
  if (other !== undefined)
    return fail(parts, 'conflicting', { code: 'conflicting_keys', message: 'The request carries two different API keys.' });
  const found = parts.index.find(sha256Hex(text));
  if (found === undefined) return refuseUnknown(exchange, parts);
  exchange.presentedKey = new Secret(text);
  exchange.key = found.key;
  exchange.credential = found.credential;
  const overruled = parts.revocations.overruling(found.key.record, found.credential.id);
  if (overruled !== undefined) return toOverruledRefusal(overruled);
  return checkStanding({ ...found, nowMs: parts.clock.now() });
}

function refuseUnknown(exchange: Exchange, parts: Parts): Refusal {
  if (!parts.index.ready || parts.index.disconnectedMs() > staleAfterMs) {
    return fail(parts, 'not_ready', {
      code: 'not_ready',
      message: 'The gateway does not know this key yet: its list of keys may be stale. Try again.',
      retryAfterMs: 1000,
    });
  }
  const waitMs = parts.attemptLimit.count(exchange.clientAddress, parts.clock.now());
  if (waitMs === undefined) return fail(parts, 'unknown', { code: 'invalid_api_key', message: 'The API key is not valid.' });
  return fail(parts, 'too_many', {
    code: 'too_many_attempts',
    message: 'Too many unknown API keys came from this address.',
    retryAfterMs: waitMs,
  });
}

function fail(parts: Parts, reason: string, refusal: Refusal): Refusal {
  parts.metrics.authFailures.inc({ reason });
  return refusal;
}
