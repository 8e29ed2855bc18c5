import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyText, makeChannelRecord, providerText } from '../test/support/records.ts';
import { toClientHeaders, toUpstreamHeaders } from './headers.ts';

const channel = makeChannelRecord('http://upstream');

function toMap(flat: readonly string[]): Record<string, string[]> {
  const map: Record<string, string[]> = {};
  for (let index = 0; index + 1 < flat.length; index += 2)
    (map[(flat[index] as string).toLowerCase()] ??= []).push(flat[index + 1] as string);
  return map;
}

function forward(client: readonly string[], change: Partial<Parameters<typeof toUpstreamHeaders>[0]> = {}): Record<string, string[]> {
  return toMap(
    toUpstreamHeaders({
      client,
      presentedKey: keyText,
      channel,
      credential: providerText,
      dialect: 'OpenAI',
      contentType: 'application/json',
      ...change,
    }),
  );
}

describe('toUpstreamHeaders', () => {
  it('drops what Connection names, but not what is set here', () => {
    const headers = forward([
      'Connection',
      'close, X-Hop ,authorization',
      'X-Hop',
      '1',
      'X-Keep',
      '2',
      'Connection',
      'x-also',
      'X-Also',
      '3',
    ]);
    expect(headers).toMatchObject({ 'x-keep': ['2'], authorization: [`Bearer ${providerText}`] });
    expect(headers['x-hop'] ?? headers['x-also'] ?? headers['connection']).toBeUndefined();
  });

  it("lets the Channel's own headers win and keeps repeated ones of the client", () => {
    const own = { ...channel, headers: { 'X-Team': 'ours' }, authHeader: 'X-Upstream-Key', authScheme: '' };
    expect(
      forward(['x-team', 'theirs', 'X-UPSTREAM-KEY', 'theirs', 'anthropic-beta', 'a', 'anthropic-beta', 'b'], { channel: own }),
    ).toMatchObject({
      'x-team': ['ours'],
      'x-upstream-key': [providerText],
      'anthropic-beta': ['a', 'b'],
    });
  });

  it('drops what browsers say of themselves: Anthropic refuses it as if the credential were dead', () => {
    const names = ['Origin', 'Referer', 'Sec-Fetch-Site', 'Sec-CH-UA', 'Sec-WebSocket-Key', 'Access-Control-Request-Method'];
    const headers = forward([
      ...names.flatMap((name) => [name, 'https://app.example']),
      'anthropic-dangerous-direct-browser-access',
      'true',
    ]);
    expect(names.filter((name) => headers[name.toLowerCase()] !== undefined)).toEqual([]);
    expect(headers['anthropic-dangerous-direct-browser-access']).toEqual(['true']);
  });

  it('drops what would tell a server of another method or path than the route', () => {
    const names = ['X-HTTP-Method-Override', 'x-http-method', 'X-Method-Override', 'X-Original-URL', 'x-rewrite-url'];
    const headers = forward(names.flatMap((name) => [name, '/v1/files']));
    expect(names.filter((name) => headers[name.toLowerCase()] !== undefined)).toEqual([]);
  });

  it('sends no credential where the Channel has none', () => {
    expect(forward(['authorization', `Bearer ${keyText}`], { credential: undefined })['authorization']).toBeUndefined();
  });

  it('keeps the anthropic-version of the client; without one that of the Channel counts', () => {
    expect(forward(['Anthropic-Version', '2024-01-01'], { dialect: 'Anthropic' })['anthropic-version']).toEqual(['2024-01-01']);
    expect(forward([], { dialect: 'Anthropic' })['anthropic-version']).toEqual(['2023-06-01']);
    expect(forward([])['anthropic-version']).toBeUndefined();
    const dated = { ...channel, apiVersion: '2024-10-22' };
    expect(forward([], { dialect: 'Anthropic', channel: dated })['anthropic-version']).toEqual(['2024-10-22']);
    expect(forward(['Anthropic-Version', '2024-01-01'], { dialect: 'Anthropic', channel: dated })['anthropic-version']).toEqual([
      '2024-01-01',
    ]);
  });

  it('never lets the key through, wherever it stands', () => {
    const name = fc.oneof(
      fc.constantFrom('Authorization', 'x-api-key', 'X-Goog-Api-Key', 'api-key', 'cookie', 'Proxy-Authorization', 'x-custom'),
      fc.stringMatching(/^[a-z][a-z-]{0,20}$/),
    );
    const value = fc.oneof(fc.constantFrom(keyText, `Bearer ${keyText}`, `a ${keyText} b`), fc.stringMatching(/^[ -~]{0,20}$/));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (headers) => {
        expect(JSON.stringify(forward(headers.flat()))).not.toContain(keyText);
      }),
    );
  });
});

describe('toClientHeaders', () => {
  it('drops what tells of the account or of the hop, and any echo of the credential', () => {
    const received = {
      'content-type': 'text/event-stream',
      'x-ratelimit-limit-tokens': '1',
      'anthropic-ratelimit-requests-limit': '1',
      'anthropic-organization-id': 'org',
      'x-ratelimitbysize-remaining-month': '1',
      'ratelimit-policy': '1',
      'x-rate-limit-remaining': '1',
      'x-tokenlimit-remaining': '1',
      'x-endpoint-monthly-call-limit': '1',
      'x-litellm-key-spend': '1',
      'retry-after': '5',
      'set-cookie': ['a=1', 'b=2'],
      'cf-ray': '1',
      'transfer-encoding': 'chunked',
      connection: 'X-Hop',
      'x-hop': '1',
      'x-list': ['1', `echo ${providerText}`],
      'anthropic-version': '1',
    };
    expect(toMap(toClientHeaders(received, providerText))).toEqual({
      'content-type': ['text/event-stream'],
      'x-list': ['1'],
      'anthropic-version': ['1'],
    });
  });
});
