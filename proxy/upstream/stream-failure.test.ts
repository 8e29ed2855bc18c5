import { describe, expect, it } from 'vitest';
import type { Provider } from '../../core/snapshot.ts';
import { cutAtFailure } from './stream-failure.ts';

const first = 'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n';
const event = (data: object, name?: string): string => `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;

function cut(provider: Provider, last: string, form: 'events' | 'list' = 'events'): object | undefined {
  const found = cutAtFailure(provider, form, [Buffer.from(first + last)]);
  return found && { shown: Buffer.concat(found.shown).toString(), ...found.failure };
}

describe('an error within a stream that speaks of the account', () => {
  it.each<[Provider, object, string, object?]>([
    [
      'OpenAI',
      { error: { message: 'You exceeded your current quota', type: 'insufficient_quota', code: 'insufficient_quota' } },
      'accountBroke',
    ],
    [
      'OpenAI',
      { type: 'error', sequence_number: 2, code: 'insufficient_quota', message: 'x', param: null },
      'accountBroke',
      { sequenceNumber: 2 },
    ],
    ['OpenAI', { type: 'error', error: { type: 'insufficient_quota', code: 'insufficient_quota', message: 'x' } }, 'accountBroke'],
    [
      'OpenAI',
      { type: 'response.failed', response: { error: { code: 'rate_limit_exceeded', message: 'in organization org-1' } } },
      'throttled',
    ],
    [
      'OpenAI',
      { error: { message: 'Incorrect API key provided: sk-1', type: 'invalid_request_error', code: 'invalid_api_key' } },
      'credentialDead',
    ],
    [
      'OpenAI',
      { error: { message: 'Request too large for gpt-4o in organization org-1', code: 'rate_limit_exceeded' } },
      'throttled',
      { ofRequest: true },
    ],
    ['Anthropic', { type: 'error', error: { type: 'authentication_error', message: 'invalid x-api-key' } }, 'credentialDead'],
    ['Anthropic', { type: 'error', error: { type: 'rate_limit_error', message: 'your organization (1-2-3)' } }, 'throttled'],
    ['Anthropic', { type: 'error', error: { type: 'billing_error', message: 'x' } }, 'accountBroke'],
    ['Anthropic', { type: 'error', error: { type: 'invalid_request_error', message: 'Your credit balance is too low' } }, 'accountBroke'],
    ['Anthropic', { type: 'error', error: { type: 'permission_error', message: 'x' } }, 'modelForbidden', { ofRequest: true }],
    ['Gemini', { error: { code: 429, message: 'Your prepayment credits are depleted', status: 'RESOURCE_EXHAUSTED' } }, 'accountBroke'],
    ['Gemini', { error: { code: 401, message: 'x', status: 'UNAUTHENTICATED' } }, 'credentialDead'],
    ['OpenAICompatible', { error: { code: 402, message: 'Insufficient credits', metadata: {} } }, 'accountBroke'],
  ])('is not shown, and what came before it is: %s, %j', (provider, data, verdict, more = {}) => {
    expect(cut(provider, event(data))).toMatchObject({ shown: first, verdict, ...more });
  });

  it('is found wherever the network has cut it', () => {
    const text = first + event({ error: { code: 'insufficient_quota', message: '…' } });
    const bytes = Buffer.from(text);
    for (let at = 1; at < bytes.length; at += 1) {
      const found = cutAtFailure('OpenAI', 'events', [bytes.subarray(0, at), bytes.subarray(at)]);
      expect(found && Buffer.concat(found.shown).toString(), String(at)).toBe(first);
    }
  });

  it('is found as the element of a list', () => {
    const before = '[{"candidates":[{"content":{"parts":[{"functionCall":{"args":{"error":{"code":429}}}}]}}]}\n,\n';
    const error = JSON.stringify(
      { error: { code: 429, message: 'of a project', status: 'RESOURCE_EXHAUSTED', details: [{ a: [1] }] } },
      null,
      2,
    );
    for (const end of ['', '\n', '\n]', '\n]\n']) {
      const found = cutAtFailure('Gemini', 'list', [Buffer.from(before + error + end)]);
      expect(found && [Buffer.concat(found.shown).toString(), found.failure.verdict]).toEqual([before, 'throttled']);
    }
  });
});

describe('what goes on as it is', () => {
  it.each<[Provider, object]>([
    ['OpenAI', { error: { message: 'x', type: 'server_error', code: 'server_error' } }],
    ['OpenAI', { type: 'response.failed', response: { error: { code: 'invalid_prompt', message: 'x' } } }],
    ['OpenAI', { type: 'response.completed', response: { error: null } }],
    ['OpenAI', { type: 'response.output_item.done', item: { type: 'mcp_call', error: { type: 'http_error', code: 401, message: 'x' } } }],
    ['OpenAI', { choices: [{ delta: { content: '"error": {"code": "insufficient_quota"}' } }] }],
    ['OpenAI', { error: { message: 'x', code: 'context_length_exceeded', type: 'invalid_request_error' } }],
    ['Anthropic', { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }],
    ['OpenAI', { type: 'error', code: 'rate_limit_exceeded', message: 'Rate limit reached.' }],
    ['Gemini', { error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }],
    ['Gemini', { error: { code: 400, message: 'x', status: 'INVALID_ARGUMENT' } }],
  ])('is the client’s, or says only that the provider is in trouble: %s, %j', (provider, data) => {
    expect(cut(provider, event(data))).toBeUndefined();
    expect(cut(provider, `\n,\n${JSON.stringify(data)}\n]`, 'list')).toBeUndefined();
  });

  it('is what cannot be read', () => {
    expect(cut('OpenAI', 'data: {"error":{"code":"insufficient_quota"\n\n')).toBeUndefined();
    expect(cut('OpenAI', ': {"error":{"code":"insufficient_quota"}}\n\n')).toBeUndefined();
  });
});
