import { expect, it } from 'vitest';
import { makeChannelRecord } from '../../test/support/records.ts';
import { endpoints } from '../dialects/endpoints.ts';
import { required } from '../exchange.ts';
import { isForbiddenAddress, makeUpstreams } from './upstream.ts';
import type { Surface } from '../dialects/dialect.ts';
import { toUpstreamPath } from './upstream-path.ts';

it('keeps one pool per Channel and replaces it when what it depends on changes', async () => {
  const upstreams = makeUpstreams({ now: () => 0 });
  const channel = makeChannelRecord('https://a.example/prefix/');
  const first = upstreams.find(channel);
  expect(first).toMatchObject({ origin: 'https://a.example', pathPrefix: '/prefix' });
  expect(upstreams.find({ ...channel, priority: 7 })).toBe(first);
  const second = upstreams.find({ ...channel, tls: { serverName: 'b.example' } });
  expect(second).not.toBe(first);
  expect(first?.pool.closed).toBe(true);
  expect(second?.pool.closed).toBe(false);
  await upstreams.close();
});

it('closes the pool of a Channel that nobody has used for long', async () => {
  let now = 0;
  const upstreams = makeUpstreams({ now: () => now });
  const old = upstreams.find(makeChannelRecord('https://a.example', { id: 'default/old' }));
  now = 600_001;
  upstreams.find(makeChannelRecord('https://b.example', { id: 'default/new' }));
  expect(old?.pool.closed).toBe(true);
  await upstreams.close();
});

it.each([
  'http://169.254.169.254',
  'http://[fe80::1]/',
  'http://[::ffff:169.254.169.254]',
  'http://[fd00:ec2::254]',
  'http://100.100.100.200',
])('does not reach %s unless allowed', async (baseUrl) => {
  const upstreams = makeUpstreams({ now: () => 0 });
  expect(upstreams.find(makeChannelRecord(baseUrl))).toBeUndefined();
  const open = makeUpstreams({ now: () => 0, allowLinkLocal: true });
  expect(open.find(makeChannelRecord(baseUrl))).toBeDefined();
  await Promise.all([upstreams.close(), open.close()]);
});

it('isForbiddenAddress', () => {
  expect(['169.254.0.1', 'fe80::1', '::ffff:169.254.169.254', '127.0.0.1', '10.0.0.1', 'name'].map(isForbiddenAddress)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});

const surfaceOf = (name: string): Surface => required(endpoints.find(({ surface }) => surface.name === name)?.surface);

it('paths are built from route and Channel, the query from allowed parameters', () => {
  const chat = surfaceOf('chat_completions');
  const messages = surfaceOf('messages');
  const channel = makeChannelRecord('https://a.example');
  const toPath = (change: object, surface = chat, query = '') =>
    toUpstreamPath({
      channel: { ...channel, ...change },
      prefix: '/p',
      surface,
      parameters: { id: 'a/b' },
      upstreamModel: 'gpt 4/o',
      query,
    });
  expect(toPath({}, chat, 'key=1&x=2')).toBe('/p/v1/chat/completions');
  expect(toPath({}, messages, 'key=1&beta=true&beta=a%26b')).toBe('/p/v1/messages?beta=true&beta=a%26b');
  expect(toPath({ provider: 'AzureOpenAI', apiVersion: '2024-10-21' })).toBe(
    '/p/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21',
  );
  expect(toPath({ provider: 'AzureOpenAI' })).toBe('/p/openai/v1/chat/completions');
  const templated = { ...chat, upstreamPath: '/v1beta/models/{model}:generateContent' };
  expect(toPath({}, templated)).toBe('/p/v1beta/models/gpt%204%2Fo:generateContent');
  expect(toPath({}, { ...chat, upstreamPath: '/v1/responses/{id}/cancel' })).toBe('/p/v1/responses/a%2Fb/cancel');
});
