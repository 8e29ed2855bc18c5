import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, untilHolds } from '../support/eventually.ts';
import { channelManifests, type Installation, startInstallation, untilStatus, virtualKey } from './installation.ts';

interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
}

let installation: Installation;
let healthy: string;

beforeAll(async () => {
  installation = await startInstallation({ proxies: 1 });
  await installation.apply(channelManifests(installation.provider));
  await installation.apply(virtualKey('healthy'));
  healthy = await installation.deliveredKey('healthy');
});
afterAll(async () => {
  await installation?.stop();
});

async function conditions(kind: string, name: string): Promise<Map<string, Condition>> {
  const text = await installation.kubectl('get', kind, name, '-o', 'jsonpath={.status.conditions}');
  return new Map((JSON.parse(text) as Condition[]).map((condition) => [condition.type, condition]));
}

/**
 * Until the object says why it is not ready; gives the message. Stalled is what only an edit mends; what may still arrive (GitOps applies in any order) is Reconciling, so that
 * no release is given up for it.
 */
async function untilNotReady(kind: string, name: string, reason: string, how: 'Stalled' | 'Reconciling' = 'Reconciling'): Promise<string> {
  return eventually(async () => {
    const all = await conditions(kind, name);
    expect(all.get('Ready')).toMatchObject({ status: 'False', reason });
    expect(all.get(how)).toMatchObject({ status: 'True' });
    return all.get('Ready')?.message ?? '';
  });
}

describe('a bad object harms only itself and says so', () => {
  it('a Channel whose Secret is missing and one whose Secret is not labelled say the same', async () => {
    await installation.kubectl('create', 'secret', 'generic', 'unlabelled', '--from-literal=apiKey=x');
    const channel = (name: string, secret: string): string => `apiVersion: keywright.dev/v1alpha1
kind: Channel
metadata: { name: ${name} }
spec: { provider: OpenAI, auth: { apiKeys: [{ name: main, secretRef: { name: ${secret}, key: apiKey } }] } }
`;
    await installation.apply(channel('no-secret', 'absent-one'));
    await installation.apply(channel('no-label', 'unlabelled'));
    const missing = await untilNotReady('chan', 'no-secret', 'SecretNotFound');
    const unlabelled = await untilNotReady('chan', 'no-label', 'SecretNotFound');
    expect(unlabelled.replaceAll('unlabelled', 'absent-one')).toBe(missing);
  });

  it('a Channel that leads to a metadata address', async () => {
    await installation.apply(`apiVersion: keywright.dev/v1alpha1
kind: Channel
metadata: { name: metadata-address }
spec: { provider: OpenAICompatible, baseURL: "http://169.254.169.254/latest", tls: { allowPlaintext: true } }
`);
    await untilHolds(async () => expect((await conditions('chan', 'metadata-address')).get('Ready')).toMatchObject({ status: 'False' }));
  });

  it('a delivery Secret whose name is taken is never overwritten', async () => {
    await installation.kubectl('create', 'secret', 'generic', 'taken-virtualkey', '--from-literal=apiKey=somebody-elses');
    await installation.apply(virtualKey('taken'));
    await untilNotReady('vk', 'taken', 'SecretNotOwned', 'Stalled');
    const value = await installation.kubectl('get', 'secret', 'taken-virtualkey', '-o', 'jsonpath={.data.apiKey}');
    expect(Buffer.from(value, 'base64').toString()).toBe('somebody-elses');
  });

  it('a channel that is not there, and one of a namespace that does not admit us, say the same', async () => {
    await installation.apply(channelManifests(installation.provider, 'team-b'));
    await installation.apply(virtualKey('lost', '{ access: { channels: [team-b/openai] } }'));
    await installation.apply(virtualKey('loster', '{ access: { channels: [team-b/absent] } }'));
    const foreign = await untilNotReady('vk', 'lost', 'ChannelNotFound');
    const absent = await untilNotReady('vk', 'loster', 'ChannelNotFound');
    expect(foreign.replaceAll('team-b/openai', 'team-b/absent')).toBe(absent);
  });

  it('a bad edit leaves the last accepted record in force', async () => {
    await installation.apply(virtualKey('edited', '{ access: { models: ["gpt-*"] } }'));
    const key = await installation.deliveredKey('edited');
    await installation.apply(virtualKey('edited', '{ access: { models: ["gpt-*"], channels: [nowhere] } }'));
    await untilNotReady('vk', 'edited', 'ChannelNotFound');
    expect((await conditions('vk', 'edited')).get('Accepted')?.message).toMatch(/generation 1 stays in force/);
    const [proxy] = installation.proxies;
    if (proxy === undefined) throw new Error('no proxy');
    await untilStatus(proxy, key, 200);
    await installation.kubectl('patch', 'vk', 'edited', '--type=merge', '-p', '{"spec":{"suspended":true}}');
    await untilStatus(proxy, key, 403);
  });

  it('an unknown field is rejected at the door', async () => {
    await expect(installation.apply(virtualKey('typo', '{ limit: { rpm: 1 } }'))).rejects.toThrow(/unknown field "spec\.limit"/);
  });

  it('other keys are untouched', async () => {
    const [proxy] = installation.proxies;
    if (proxy === undefined) throw new Error('no proxy');
    await untilStatus(proxy, healthy, 200);
    expect((await conditions('vk', 'healthy')).get('Ready')).toMatchObject({ status: 'True', reason: 'Issued' });
  });
});
