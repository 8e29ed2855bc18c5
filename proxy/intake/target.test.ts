import { describe, expect, it } from 'vitest';
import { isRefusal, parseTarget } from './target.ts';

describe('parseTarget', () => {
  it.each([
    ['/v1/chat/completions', '/v1/chat/completions', ''],
    ['/v1/models/gpt-4o?after=a%20b', '/v1/models/gpt-4o', 'after=a%20b'],
    ['/v1/models/ft%3Agpt-4o', '/v1/models/ft%3Agpt-4o', ''],
    ['/', '/', ''],
    ['/v1/models/', '/v1/models/', ''],
    ['/v1/models?', '/v1/models', ''],
    ['/v1/models/a..b', '/v1/models/a..b', ''],
  ])('splits %s', (raw, path, query) => {
    expect(parseTarget(raw)).toEqual({ path, query });
  });

  it.each([
    '/v1/chat%2fcompletions',
    '/v1/chat%2Fcompletions',
    '/v1%5cchat',
    '/v1\\chat',
    '//v1/chat/completions',
    '/v1//chat/completions',
    '/v1/chat/completions//',
    '/v1/../admin',
    '/v1/./chat/completions',
    '/v1/%2e%2e/admin',
    '/v1/%2E/chat',
    '/v1/.%2e/x',
    '/v1/chat\u0000',
    '/v1/chat%00',
    '/v1/chat%0d%0aX',
    '/v1/chat%7f',
    '/v1/chat\u007f',
    '/v1/ch\u00e4t',
    '/v1/chat%',
    '/v1/chat%zz',
    '/v1/chat%ff',
    '/v1/chat#x',
    '/v1/chat?x#y',
    '/v1/chat?x=%ff',
    '/v1/chat?x=%00',
    '/v1/chat?x=a%0d%0ab',
    'http://other.example/v1/chat/completions',
    'other.example:443',
    '*',
    '',
  ])('refuses %j', (raw) => {
    expect(parseTarget(raw)).toMatchObject({ code: 'invalid_request' });
    expect(isRefusal(parseTarget(raw))).toBe(true);
  });
});
