import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Provider } from '../../core/snapshot.ts';
import { parseRetryAfterMs, toUpstreamFailure } from './upstream-failure.ts';

interface Recorded {
  readonly source: string;
  readonly provider: Provider;
  readonly status: number;
  readonly verdict: string;
  readonly ofRequest?: boolean;
  readonly retryAfterMs?: number;
  /** what its headers ask for */
  readonly headerMs?: number;
  readonly body: unknown;
}

const root = join(import.meta.dirname, 'testdata/failures');
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.json'));

describe('a recorded error body', () => {
  it('is there for every provider', () => {
    expect(new Set(files.map((file) => file.split('/')[0]))).toEqual(new Set(['anthropic', 'azure', 'compatible', 'gemini', 'openai']));
  });

  it.each(files)('%s', (file) => {
    const recorded = JSON.parse(readFileSync(join(root, file), 'utf8')) as Recorded;
    expect(recorded.source).not.toBe('');
    const body = Buffer.from(typeof recorded.body === 'string' ? recorded.body : JSON.stringify(recorded.body));
    expect(toUpstreamFailure(recorded.provider, { status: recorded.status, body, retryAfterMs: recorded.headerMs })).toEqual({
      verdict: recorded.verdict,
      ofRequest: recorded.ofRequest ?? false,
      retryAfterMs: recorded.retryAfterMs,
    });
  });
});

it.each([
  ['OpenAI', 302, '', 'serverError'],
  ['OpenAI', 407, '', 'credentialDead'],
  ['OpenAI', 408, '', 'serverError'],
  ['OpenAI', 409, '', 'serverError'],
  ['OpenAI', 404, '', 'requestFault'],
  ['OpenAI', 413, '', 'requestFault'],
  ['OpenAI', 422, 'null', 'requestFault'],
  ['OpenAI', 429, 'no JSON', 'throttled'],
  ['OpenAI', 400, '[null]', 'requestFault'],
  ['OpenAI', 400, '{"error":{"code":["insufficient_quota"],"message":7,"details":[null,{"retryDelay":5}]}}', 'requestFault'],
  // what one provider says of its accounts means nothing with another
  ['OpenAI', 400, '{"error":{"message":"Your credit balance is too low"}}', 'requestFault'],
] as const)('%s %i %s is %s', (provider, status, body, verdict) => {
  expect(toUpstreamFailure(provider, { status, body: Buffer.from(body) }).verdict).toBe(verdict);
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
