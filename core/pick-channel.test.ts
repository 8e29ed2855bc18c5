import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkModels, compileKey } from './authorize.ts';
import { pickChannels } from './pick-channel.ts';
import { findChannels } from './route.ts';
import type { ChannelModel, ChannelRecord, KeyAccess, Provider } from './snapshot.ts';

function channelOf(id: string, provider: Provider, models?: readonly ChannelModel[]): ChannelRecord {
  return {
    id,
    uid: id,
    generation: 1,
    provider,
    baseUrl: 'https://api.example.com',
    credentials: [],
    authHeader: 'authorization',
    authScheme: 'Bearer',
    priority: 100,
    weight: 100,
    namespaces: 'All',
    timeouts: { connectMs: 1, firstByteMs: 1, idleMs: 1, totalMs: 1 },
    retries: { attempts: 1, on: [] },
    headers: {},
    tls: {},
    ...(models === undefined ? {} : { models }),
  };
}

const keyOf = (access: KeyAccess): ReturnType<typeof compileKey> =>
  compileKey({ id: 'team/app', uid: 'u', generation: 1, gen: 0, state: 'Active', credentials: [], access }, () => true);

/** What the data plane does with a name: the channels and the provider's names, or the refusal. */
function resolve(channels: readonly ChannelRecord[], access: KeyAccess, model: string): readonly string[] | string {
  const key = keyOf(access);
  const picked = pickChannels({ key, channels, dialect: 'OpenAI', model });
  const refusal = checkModels(key, [picked.model]);
  if (refusal !== undefined) return refusal.code;
  const found = findChannels({ key, channels: picked.channels, dialect: 'OpenAI', model: picked.model });
  return 'refusal' in found ? found.refusal.code : found.channels.map(({ channel, upstreamModel }) => `${channel.id}=${upstreamModel}`);
}

describe('pickChannels', () => {
  const channels = [
    channelOf('team/openai-eu', 'OpenAI', [{ name: 'gpt-4o', upstreamName: 'gpt-4o-2024-11-20' }]),
    channelOf('shared/openai-us', 'OpenAI', [{ name: 'gpt-4o' }, { name: 'o3' }]),
    channelOf('team/vllm', 'OpenAICompatible', [{ name: 'meta-llama/Llama-3' }]),
    channelOf('team/any', 'OpenAICompatible', [{ name: '*' }]),
    channelOf('shared/twin', 'AzureOpenAI'),
    channelOf('other/twin', 'AzureOpenAI'),
    channelOf('team/claude', 'Anthropic'),
  ];

  it.each<[string, string, KeyAccess, readonly string[] | string]>([
    ['no slash, and asks all', 'o3', {}, ['shared/openai-us=o3', 'team/any=o3', 'shared/twin=o3', 'other/twin=o3']],
    ['a Channel of the namespace', 'openai-eu/gpt-4o', {}, ['team/openai-eu=gpt-4o-2024-11-20']],
    ['a Channel of another namespace', 'openai-us/o3', {}, ['shared/openai-us=o3']],
    ['two Channels of one name elsewhere', 'twin/o3', {}, ['shared/twin=o3', 'other/twin=o3']],
    ['a provider', 'openai/gpt-4o', {}, ['team/openai-eu=gpt-4o-2024-11-20', 'shared/openai-us=gpt-4o']],
    ['a provider in any case', 'AzureOpenAI/x/y', {}, ['shared/twin=x/y', 'other/twin=x/y']],
    [
      'a provider of another dialect, which is the name of a model',
      'anthropic/claude',
      {},
      ['team/any=anthropic/claude', 'shared/twin=anthropic/claude', 'other/twin=anthropic/claude'],
    ],
    [
      'a name with a slash that a Channel lists',
      'meta-llama/Llama-3',
      {},
      ['team/vllm=meta-llama/Llama-3', 'team/any=meta-llama/Llama-3', 'shared/twin=meta-llama/Llama-3', 'other/twin=meta-llama/Llama-3'],
    ],
    ['a Channel without that model', 'openai-eu/o3', {}, 'model_not_found'],
    ['a Channel that the key may not use', 'openai-us/o3', { channels: ['team/openai-eu'] }, 'model_not_found'],
    ['a model that the key may not use', 'openai-us/o3', { models: ['gpt-4o'] }, 'model_not_allowed'],
    ['a model that the key may use only in the longer name', 'openai-us/o3', { models: ['openai-us/*'] }, 'model_not_allowed'],
    [
      'a member of every object',
      'constructor/o3',
      {},
      ['team/any=constructor/o3', 'shared/twin=constructor/o3', 'other/twin=constructor/o3'],
    ],
  ])('takes %s', (_what, model, access, expected) => expect(resolve(channels, access, model)).toEqual(expected));

  it('takes a name for a name where a Channel lists it by a glob with a slash', () => {
    const router = channelOf('team/router', 'OpenAICompatible', [{ name: 'openai-eu/*' }]);
    expect(resolve([...channels, router], {}, 'openai-eu/gpt-4o')).toContain('team/router=openai-eu/gpt-4o');
  });

  it('never widens what a key may do', () => {
    const names = ['a', 'b', 'openai', 'x/y'];
    const anyName = fc.constantFrom(...names, 'a/b', 'openai/a', 'b/x/y', 'c/a', 'azure/a');
    const anyChannel = fc
      .record({
        id: fc.constantFrom('team/a', 'team/b', 'shared/b', 'shared/openai', 'other/c'),
        provider: fc.constantFrom<Provider>('OpenAI', 'AzureOpenAI', 'OpenAICompatible', 'Anthropic'),
        models: fc.option(fc.array(fc.record({ name: fc.constantFrom(...names, '*', 'a/*') }), { maxLength: 3 }), { nil: undefined }),
      })
      .map(({ id, provider, models }) => channelOf(id, provider, models));
    const anyAccess = fc.record(
      {
        models: fc.array(fc.constantFrom(...names, '*', 'a/*', 'openai/*'), { minLength: 1, maxLength: 2 }),
        channels: fc.array(fc.constantFrom('team/a', 'shared/b', 'shared/openai'), { minLength: 1, maxLength: 2 }),
        providers: fc.array(fc.constantFrom<Provider>('OpenAI', 'AzureOpenAI'), { minLength: 1, maxLength: 1 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.uniqueArray(anyChannel, { maxLength: 5, selector: ({ id }) => id }), anyAccess, anyName, (all, access, model) => {
        const result = resolve(all, access, model);
        if (typeof result === 'string') return;
        const key = keyOf(access);
        for (const each of result) {
          const [id = '', name = ''] = each.split('=');
          expect(key.allowsChannel(id)).toBe(true);
          // whatever was picked could have been reached by the plain name
          expect(key.allowsModel(name)).toBe(true);
          const plain = findChannels({ key, channels: all, dialect: 'OpenAI', model: name });
          expect('refusal' in plain ? [] : plain.channels.map(({ channel }) => channel.id)).toContain(id);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
