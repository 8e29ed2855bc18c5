import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Condition } from '../../core/resources.ts';
import { untilHolds } from '../support/eventually.ts';
import { channelManifests, hello, type Installation, openai, startInstallation, virtualKey } from './installation.ts';

let installation: Installation;
let isRefused = false;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 2, behaviour: () => (isRefused ? { requireCredential: 'another' } : {}) });
  await installation.apply(channelManifests(installation.provider));
  await installation.apply(virtualKey('app'));
});
afterAll(async () => {
  await installation?.stop();
});

async function conditionOf(type: string): Promise<Condition | undefined> {
  const text = await installation.kubectl('get', 'chan', 'openai', '-o', 'jsonpath={.status.conditions}');
  return (JSON.parse(text) as Condition[]).find((condition) => condition.type === type);
}

it('a credential that a provider refuses is named by its Channel, which stays Ready, until it is taken again', async () => {
  const key = await installation.deliveredKey('app');
  const call = (): Promise<unknown> =>
    Promise.allSettled(
      installation.proxies.map((proxy) =>
        openai(proxy, key).chat.completions.create({ model: 'gpt-4o', messages: hello }, { maxRetries: 0 }),
      ),
    );
  await untilHolds(async () => expect(await conditionOf('CredentialsHealthy')).toMatchObject({ status: 'True' }));
  isRefused = true;
  await call();
  await untilHolds(async () => {
    expect(await conditionOf('CredentialsHealthy')).toMatchObject({ status: 'False', message: expect.stringContaining('main') });
    expect(await conditionOf('Healthy')).toMatchObject({ status: 'False' });
    expect(await conditionOf('Ready')).toMatchObject({ status: 'True' });
  });
  isRefused = false;
  await untilHolds(
    async () => {
      await call();
      expect(await conditionOf('CredentialsHealthy')).toMatchObject({ status: 'True' });
      expect(await conditionOf('Healthy')).toMatchObject({ status: 'True' });
    },
    { withinMs: 90_000 },
  );
}, 180_000);
