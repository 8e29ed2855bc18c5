import { describe, expect, it } from 'vitest';
import type { Provider } from '../../core/snapshot.ts';
import { makeChannelRecord } from '../../test/support/records.ts';
import { endpoints } from '../dialects/endpoints.ts';
import { toUpstreamPath } from './upstream-path.ts';

function pathOf(given: { provider: Provider; base: string; path: string; apiVersion?: string; model?: string; query?: string }): string {
  const { provider, base, path, apiVersion, model = 'gpt-4o', query = '' } = given;
  const surface = endpoints.find((endpoint) => endpoint.surface.path === path)?.surface;
  if (surface === undefined) throw new Error(`no surface ${path}`);
  return toUpstreamPath({
    channel: makeChannelRecord(base, { provider, ...(apiVersion === undefined ? {} : { apiVersion }) }),
    prefix: new URL(base).pathname.replace(/\/+$/, ''),
    surface,
    parameters: { id: 'resp_1' },
    upstreamModel: model,
    query,
  });
}

describe('the base URL of a Channel', () => {
  it.each([
    ['https://host', '/v1/chat/completions'],
    ['https://host/', '/v1/chat/completions'],
    ['https://host/v1', '/v1/chat/completions'],
    ['https://host/v1/', '/v1/chat/completions'],
    ['https://host/openai/v1', '/openai/v1/chat/completions'],
    ['https://api.groq.com/openai', '/openai/v1/chat/completions'],
    ['https://api.groq.com/openai/v1', '/openai/v1/chat/completions'],
    ['https://generativelanguage.googleapis.com/v1beta/openai', '/v1beta/openai/chat/completions'],
    ['https://generativelanguage.googleapis.com/v1beta/openai/', '/v1beta/openai/chat/completions'],
    ['https://api.anthropic.com/v1', '/v1/chat/completions'],
    ['https://openrouter.ai/api/v1', '/api/v1/chat/completions'],
    ['https://openrouter.ai/api', '/api/v1/chat/completions'],
    ['https://open.bigmodel.cn/api/paas/v4', '/api/paas/v4/chat/completions'],
    ['https://host/v1x', '/v1x/v1/chat/completions'],
    ['https://host/v1/tenant', '/v1/tenant/v1/chat/completions'],
  ])('%s is continued as %s', (base, expected) => {
    expect(pathOf({ provider: 'OpenAICompatible', base, path: '/v1/chat/completions' })).toBe(expected);
    expect(pathOf({ provider: 'OpenAICompatible', base, path: '/openai/v1/chat/completions' })).toBe(expected);
    expect(pathOf({ provider: 'OpenAICompatible', base, path: '/openai/deployments/:deployment/chat/completions' })).toBe(expected);
  });

  it('may have the version of the other dialects, too', () => {
    expect(pathOf({ provider: 'Anthropic', base: 'https://api.anthropic.com/v1', path: '/v1/messages' })).toBe('/v1/messages');
  });
});

describe('the path at Azure', () => {
  const azure = (path: string, apiVersion?: string, base = 'https://res.openai.azure.com'): string =>
    pathOf({ provider: 'AzureOpenAI', base, path, model: 'my dep', ...(apiVersion === undefined ? {} : { apiVersion }) });
  const version = '2024-10-21';

  it.each([
    ['/v1/chat/completions', '/openai/deployments/my%20dep/chat/completions?api-version=2024-10-21'],
    ['/v1/audio/speech', '/openai/deployments/my%20dep/audio/speech?api-version=2024-10-21'],
    ['/v1/images/generations', '/openai/deployments/my%20dep/images/generations?api-version=2024-10-21'],
    ['/v1/responses', '/openai/responses?api-version=2024-10-21'],
    ['/v1/responses/:id', '/openai/responses/resp_1?api-version=2024-10-21'],
    ['/v1/moderations', '/openai/v1/moderations'],
  ])('of %s with a version is %s', (path, expected) => {
    expect(azure(path, version)).toBe(expected);
    expect(azure(path, version, 'https://res.openai.azure.com/openai/')).toBe(expected);
    expect(azure(path, version, 'https://res.openai.azure.com/openai/v1')).toBe(expected);
  });

  it.each(['/v1/chat/completions', '/v1/embeddings', '/v1/responses'])('of %s without one is that of OpenAI', (path) => {
    expect(azure(path)).toBe(`/openai${path}`);
    expect(azure(path, undefined, 'https://res.openai.azure.com/openai/v1/')).toBe(`/openai${path}`);
  });
});
