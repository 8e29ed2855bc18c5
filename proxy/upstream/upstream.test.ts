import { expect, it } from 'vitest';
import { makeChannelRecord } from '../../test/support/records.ts';
import { endpoints } from '../dialects/endpoints.ts';
import { forbiddenNetworks } from '../../runtime/forbidden-address.ts';
import { required } from '../exchange.ts';
import { makeUpstreams } from './upstream.ts';
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
  'http://[::ffff:169.254.169.254]',
  'http://metadata.google.internal',
  ...forbiddenNetworks.map(([address]) => (address.includes(':') ? `http://[${address}]` : `http://${address}`)),
])('does not reach %s unless allowed', async (baseUrl) => {
  const upstreams = makeUpstreams({ now: () => 0 });
  expect(upstreams.find(makeChannelRecord(baseUrl))).toBeUndefined();
  const open = makeUpstreams({ now: () => 0, allowLinkLocal: true });
  expect(open.find(makeChannelRecord(baseUrl))).toBeDefined();
  await Promise.all([upstreams.close(), open.close()]);
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
