import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseUsageCheckpoint } from '../../core/usage-checkpoint.ts';
import { type TestRedis, startRedis } from '../support/redis.ts';
import { type Gateway, hello, manifestsFor, startGateway } from './gateway.ts';

let redis: TestRedis;
const gateways: Gateway[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  for (const gateway of gateways) await gateway.stop();
  await redis.stop();
});

it.each(['in memory'])('usage counted %s is in the state folder, and goes on after a restart', async (where) => {
  const gateway = await startGateway({
    ...(where === 'in Redis' && { redisUrl: redis.url }),
    behaviour: () => ({ usage: { input: 20, output: 5 } }),
    manifests: (provider) => manifestsFor(provider, { app: '{}' }),
  });
  gateways.push(gateway);
  const call = async (times: number): Promise<void> => {
    const client = new OpenAI({ baseURL: `${gateway.address}/v1`, apiKey: await gateway.key('app'), maxRetries: 0 });
    for (let turn = 0; turn < times; turn += 1) await client.chat.completions.create({ model: 'gpt-4o-mini', messages: hello });
  };
  const counted = () => {
    const file = join(gateway.state, 'usage.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const parsed = parseUsageCheckpoint(readFileSync(file, 'utf8'));
    return parsed.ok ? parsed.checkpoint.keys.find(({ id }) => id === 'default/app') : undefined;
  };
  await call(3);
  await gateway.halt();
  expect(counted()).toMatchObject({ requests: 3, errors: 0, inputTokens: 60, outputTokens: 15 });
  await gateway.start();
  await call(2);
  await gateway.halt();
  expect(counted()).toMatchObject({ requests: 5, inputTokens: 100, outputTokens: 25 });
});
