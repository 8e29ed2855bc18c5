import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileKey } from './authorize.ts';
import { chooseCredential, familyOf, findChannels, orderChannels } from './route.ts';
import { Secret } from './secret.ts';
import type { ChannelRecord, KeyAccess } from './snapshot.ts';

function channelWith(fields: Partial<ChannelRecord>): ChannelRecord {
  return {
    id: 'default/openai',
    uid: 'u',
    generation: 1,
    provider: 'OpenAI',
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
    ...fields,
  };
}

function keyWith(access: KeyAccess): ReturnType<typeof compileKey> {
  return compileKey({ id: 'default/app', uid: 'u', generation: 1, gen: 0, state: 'Active', credentials: [], access }, () => true);
}

describe('findChannels', () => {
  const mapped = channelWith({
    models: [{ name: 'fast-*' }, { name: 'gpt-4o', upstreamName: 'gpt-4o-2024-11-20' }, { name: 'gpt-4?', upstreamName: 'gpt-four' }],
  });
  const open = channelWith({ id: 'default/open', provider: 'OpenAICompatible' });
  const claude = channelWith({ id: 'default/claude', provider: 'Anthropic' });
  const channels = [mapped, open, claude];
  const find = (model: string | undefined, access: KeyAccess = {}, dialect: 'OpenAI' | 'Anthropic' | 'Gemini' = 'OpenAI'): unknown => {
    const found = findChannels({ key: keyWith(access), channels, dialect, model });
    return 'refusal' in found ? found.refusal.code : found.channels.map(({ channel, upstreamModel }) => [channel.id, upstreamModel]);
  };

  it.each([
    [
      'a mapped name',
      'gpt-4o',
      [
        ['default/openai', 'gpt-4o-2024-11-20'],
        ['default/open', 'gpt-4o'],
      ],
    ],
    [
      'a glob',
      'fast-1',
      [
        ['default/openai', 'fast-1'],
        ['default/open', 'fast-1'],
      ],
    ],
    [
      'a glob with a name of the provider',
      'gpt-4x',
      [
        ['default/openai', 'gpt-four'],
        ['default/open', 'gpt-4x'],
      ],
    ],
    ['a model of the open channel only', 'llama', [['default/open', 'llama']]],
    [
      'no model',
      undefined,
      [
        ['default/openai', undefined],
        ['default/open', undefined],
      ],
    ],
  ])('finds %s', (_what, model, expected) => expect(find(model)).toEqual(expected));

  it.each([
    ['channels', 'gpt-4o', { channels: ['default/open'] }, [['default/open', 'gpt-4o']]],
    ['providers', 'gpt-4o', { providers: ['OpenAI'] as const }, [['default/openai', 'gpt-4o-2024-11-20']]],
    ['channels of another dialect', 'gpt-4o', { channels: ['default/claude'] }, 'channel_not_found'],
    ['channels that lack the model', 'llama', { channels: ['default/openai'] }, 'model_not_found'],
  ])('keeps to the %s of the key', (_what, model, access, expected) => expect(find(model, access)).toEqual(expected));

  it('takes a channel of weight 0 for one that is not there', () => {
    const parked = channelWith({ id: 'default/parked', weight: 0 });
    const found = findChannels({ key: keyWith({}), channels: [parked], dialect: 'OpenAI', model: 'gpt-4o' });
    expect(found).toMatchObject({ refusal: { code: 'channel_not_found' } });
  });

  it('never leaves the family of a dialect', () => {
    expect(find('claude-x', {}, 'Anthropic')).toEqual([['default/claude', 'claude-x']]);
    expect(find('gemini-x', {}, 'Gemini')).toBe('channel_not_found');
    expect(familyOf('OpenAI')).toEqual(['OpenAI', 'AzureOpenAI', 'OpenAICompatible']);
  });
});

describe('orderChannels', () => {
  const candidates = fc
    .array(fc.record({ priority: fc.nat({ max: 3 }), weight: fc.nat({ max: 5 }) }), { maxLength: 8 })
    .map((list) => list.map((fields, index) => ({ channel: channelWith({ id: `default/c${index}`, ...fields }) })));
  const randoms = fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { minLength: 1 });

  it('has every channel of weight > 0 once and no other, and priorities never go down', () => {
    fc.assert(
      fc.property(candidates, randoms, (list, numbers) => {
        let index = 0;
        const order = orderChannels(list, () => numbers[index++ % numbers.length] ?? 0);
        expect(order.map(({ channel }) => channel.id).toSorted()).toEqual(
          list
            .filter(({ channel }) => channel.weight > 0)
            .map(({ channel }) => channel.id)
            .toSorted(),
        );
        const priorities = order.map(({ channel }) => channel.priority);
        expect(priorities).toEqual(priorities.toSorted((one, other) => one - other));
      }),
    );
  });

  it('goes by weight', () => {
    const heavy = { channel: channelWith({ id: 'default/heavy', weight: 3 }) };
    const light = { channel: channelWith({ id: 'default/light', weight: 1 }) };
    const firsts = Array.from({ length: 100 }, (_, index) => orderChannels([light, heavy], () => index / 100)[0]?.channel.id);
    expect(firsts.filter((id) => id === 'default/heavy')).toHaveLength(75);
  });
});

describe('chooseCredential', () => {
  const pool = [0, 1, 3].map((weight) => ({ name: `w${weight}`, weight, secret: new Secret('x') }));

  it('goes by weight and never takes one of weight 0', () => {
    const names = Array.from({ length: 100 }, (_, index) => chooseCredential(pool, () => index / 100)?.name);
    expect(['w0', 'w1', 'w3'].map((name) => names.filter((each) => each === name).length)).toEqual([0, 25, 75]);
    expect(chooseCredential(pool, () => 1)?.name).toBe('w3');
  });

  it('takes none of an empty pool', () => {
    expect(chooseCredential([], () => 0)).toBeUndefined();
    expect(chooseCredential(pool.slice(0, 1), () => 0)).toBeUndefined();
  });
});
