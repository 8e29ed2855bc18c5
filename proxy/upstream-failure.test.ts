import { expect, it } from 'vitest';
import { parseRetryAfterMs, toUpstreamVerdict } from './upstream-failure.ts';

it.each([
  ['OpenAI', 401, '{"error":{"code":"invalid_api_key"}}', 'credentialDead'],
  ['OpenAI', 403, '{"error":{"code":"unsupported_country_region_territory"}}', 'modelForbidden'],
  ['OpenAI', 429, '{"error":{"code":"rate_limit_exceeded","type":"requests"}}', 'throttled'],
  ['OpenAI', 429, '{"error":{"code":"insufficient_quota","type":"insufficient_quota"}}', 'accountBroke'],
  ['OpenAI', 429, 'no JSON', 'throttled'],
  ['OpenAI', 400, '{"error":{"message":"Your credit balance is too low"}}', 'requestFault'],
  [
    'Anthropic',
    400,
    '{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}',
    'accountBroke',
  ],
  ['Anthropic', 400, '{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: required"}}', 'requestFault'],
  ['Anthropic', 402, '{"type":"error","error":{"type":"billing_error"}}', 'accountBroke'],
  ['Anthropic', 529, '{"type":"error","error":{"type":"overloaded_error"}}', 'serverError'],
  ['OpenAI', 302, '', 'serverError'],
  ['OpenAI', 408, '', 'serverError'],
  ['OpenAI', 409, '', 'serverError'],
  ['OpenAI', 404, '', 'requestFault'],
  ['OpenAI', 413, '', 'requestFault'],
  ['OpenAI', 422, 'null', 'requestFault'],
] as const)('%s %i %s is %s', (provider, status, body, verdict) => {
  expect(toUpstreamVerdict(provider, status, Buffer.from(body))).toBe(verdict);
});

it.each([
  ['3', undefined, 3000],
  ['0.5', undefined, 500],
  ['3', '250', 250],
  [undefined, undefined, undefined],
  ['soon', undefined, undefined],
  ['Thu, 01 Jan 1970 00:01:00 GMT', undefined, 50_000],
  ['Thu, 01 Jan 1970 00:00:05 GMT', undefined, 0],
  ['-1', undefined, undefined],
])('retry-after %s, in milliseconds %s, is %s', (retryAfter, retryAfterMs, expected) => {
  expect(parseRetryAfterMs({ retryAfter, retryAfterMs }, 10_000)).toBe(expected);
});
