import { afterEach, expect, it } from 'vitest';
import { sha256Hex } from '../../runtime/digest.ts';
import { providerKey, readyOf, World } from '../test-world.ts';

let world = new World();
afterEach(() => world.stop());

const spec = { provider: 'OpenAI', auth: { apiKeys: [{ name: 'one', secretRef: { name: 'provider', key: 'key' } }] } } as const;

it('a Channel that outgrows its bound is refused, keeps what was accepted, and leaves its neighbours alone', async () => {
  world = new World();
  await world.start();
  for (const namespace of ['platform', 'other']) await world.applySecret('provider', { key: providerKey.reveal() }, { namespace });
  await world.applyChannel('large', { ...spec, models: [{ name: 'gpt-4o' }] });
  await world.applyChannel('small', spec, 'other');
  await world.advance(5_000);
  await world.applySecret('bundle', { 'ca.crt': 'A'.repeat(270_000) }, { namespace: 'platform' });
  await world.applyChannel('large', { ...spec, models: [{ name: 'gpt-5' }], tls: { caSecretRef: { name: 'bundle' } } });
  await world.applyChannel('small', { ...spec, priority: 7 }, 'other');
  await world.advance(5_000);
  const large = await world.channel('large');
  expect(readyOf(large)).toEqual({ status: 'False', reason: 'RecordTooLarge' });
  expect(large?.status?.conditions?.find(({ type }) => type === 'Accepted')?.message).toMatch(
    /allowed: 262144\..*generation 1 stays in force/,
  );
  const published = world.published().channels.map(({ id, models, priority }) => [id, models?.[0]?.name, priority]);
  expect(published).toEqual(
    expect.arrayContaining([
      ['platform/large', 'gpt-4o', 100],
      ['other/small', undefined, 7],
    ]),
  );
  await world.applySecret('bundle', { 'ca.crt': 'A'.repeat(200_000) }, { namespace: 'platform' });
  await world.advance(5_000);
  expect(readyOf(await world.channel('large'))).toEqual({ status: 'True', reason: 'Available' });
});

it('a key that outgrows its bound is refused by itself', async () => {
  world = new World();
  await world.start();
  const hashes = (name: string) => ({ credential: { hashes: [{ hash: `sha256:${sha256Hex(name)}` }] } });
  await world.applyKey('large', hashes('large'));
  await world.advance(5_000);
  await world.applyKey('large', {
    ...hashes('large'),
    access: { models: Array.from({ length: 128 }, (_, number) => `${'m'.repeat(100)}${number}`) },
  });
  await world.applyKey('small', hashes('small'), 'other');
  await world.advance(5_000);
  expect(readyOf(await world.key('large'))).toEqual({ status: 'False', reason: 'RecordTooLarge' });
  expect(world.publishedKey('team/large')).toMatchObject({ generation: 1, access: {} });
  expect(readyOf(await world.key('small', 'other'))).toEqual({ status: 'True', reason: 'Issued' });
});
