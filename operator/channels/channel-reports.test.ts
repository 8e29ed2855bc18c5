import { afterEach, describe, expect, it } from 'vitest';
import type { ChannelTroubles } from '../../core/channel-report.ts';
import type { Channel } from '../../core/resources.ts';
import { providerKey, World } from '../test-world.ts';

const name = 'main';
let world: World | undefined;
afterEach(async () => {
  await world?.stop();
  world = undefined;
});

async function start(): Promise<{ world: World; tell(reports: readonly ChannelTroubles[] | undefined): void }> {
  let told: readonly ChannelTroubles[] | undefined = [];
  world = new World();
  world.channelReports = { read: async () => told };
  await world.applySecret('provider', { key: providerKey.reveal() }, { namespace: 'platform' });
  await world.applyChannel('openai', {
    provider: 'OpenAI',
    auth: { apiKeys: [{ name, secretRef: { name: 'provider', key: 'key' } }] },
  });
  await world.start();
  await world.advance(10_000);
  return { world, tell: (reports) => void (told = reports) };
}

async function conditionOf(type: string): Promise<string | undefined> {
  const channel = (await world?.cluster.get({ kind: 'Channel', namespace: 'platform', name: 'openai' })) as Channel | undefined;
  const condition = channel?.status?.conditions?.find((each) => each.type === type);
  return condition && `${condition.status} ${condition.reason}`;
}

const id = 'platform/openai';
const open: ChannelTroubles = { id, breaker: 'open', credentials: [] };
const dead: ChannelTroubles = { id, breaker: 'closed', credentials: [{ name, trouble: 'credentialDead' }] };

describe('the conditions of a Channel', () => {
  it('tell what any proxy says, and that it is over', async () => {
    const { world, tell } = await start();
    expect([await conditionOf('Healthy'), await conditionOf('CredentialsHealthy')]).toEqual(['True NoTrouble', 'True NoTrouble']);
    tell([open]);
    await world.advance(20_000);
    expect([await conditionOf('Healthy'), await conditionOf('Ready')]).toEqual(['False CircuitOpen', 'True Available']);
    expect(world.reasons()).toContain('CircuitOpen');
    tell([dead, { ...dead, credentials: [] }]);
    await world.advance(20_000);
    expect([await conditionOf('Healthy'), await conditionOf('CredentialsHealthy')]).toEqual([
      'False CredentialRejected',
      'False CredentialRejected',
    ]);
    tell([]);
    await world.advance(20_000);
    expect([await conditionOf('Healthy'), await conditionOf('CredentialsHealthy')]).toEqual(['True NoTrouble', 'True NoTrouble']);
  });

  it('stay as they are while nobody can be asked, and name no credential that the Channel does not have', async () => {
    const { world, tell } = await start();
    tell([{ ...dead, credentials: [{ name: 'of-another', trouble: 'accountBroke' }] }, open]);
    await world.advance(20_000);
    expect([await conditionOf('Healthy'), await conditionOf('CredentialsHealthy')]).toEqual(['False CircuitOpen', 'True NoTrouble']);
    tell(undefined);
    await world.advance(60_000);
    expect(await conditionOf('Healthy')).toBe('False CircuitOpen');
  });

  it('are not written more often than every fifteen seconds, and at rest not at all', async () => {
    const { world, tell } = await start();
    world.writes.length = 0;
    for (let second = 0; second < 120; second += 5) {
      tell(second % 10 === 0 ? [open] : []);
      await world.advance(5_000);
    }
    expect(world.writes.filter(({ kind }) => kind === 'Channel').length).toBeLessThanOrEqual(9);
    tell([open]);
    await world.advance(30_000);
    world.writes.length = 0;
    await world.advance(120_000);
    expect(world.writes.filter(({ kind }) => kind === 'Channel')).toEqual([]);
  });
});
