import { afterEach, expect, test } from 'vitest';
import { type AdminServer, startAdminServer } from './admin-server.ts';
import { makeLog } from './log.ts';
import { makeMetrics } from './metrics.ts';

const log = makeLog({ level: 'silent', name: 'test' });
const metrics = makeMetrics();
const started: AdminServer[] = [];
afterEach(async () => {
  for (const server of started.splice(0)) await server.close();
  metrics.close();
});

async function start(readiness: () => readonly string[], debug?: Record<string, () => unknown>): Promise<string> {
  const server = await startAdminServer({ listen: { host: '127.0.0.1', port: 0 }, metrics, readiness, log, ...(debug && { debug }) });
  started.push(server);
  return server.address;
}

test('not ready says why, and alive all the same', async () => {
  const reasons = ['waits for the snapshot index', 'waits for shard 3'];
  const address = await start(() => reasons);
  const notReady = await fetch(`${address}/readyz`);
  expect([notReady.status, await notReady.text()]).toEqual([503, 'waits for the snapshot index\nwaits for shard 3\n']);
  expect((await fetch(`${address}/livez`)).status).toBe(200);
  reasons.length = 0;
  expect((await fetch(`${address}/readyz`)).status).toBe(200);
});

test('/metrics speaks the text format', async () => {
  const answer = await fetch(`${await start(() => [])}/metrics`);
  expect(answer.headers.get('content-type')).toContain('text/plain');
  expect(await answer.text()).toContain('keywright_build_info');
});

test('/debug shows what it was given, and a failing one shows no insides', async () => {
  const address = await start(() => [], {
    snapshot: () => ({ keys: 3 }),
    broken: () => {
      throw new Error('hunter2');
    },
  });
  expect(await (await fetch(`${address}/debug/snapshot`)).json()).toEqual({ keys: 3 });
  const broken = await fetch(`${address}/debug/broken`);
  expect([broken.status, await broken.text()]).toEqual([500, 'internal error\n']);
  expect((await fetch(`${address}/debug/other`)).status).toBe(404);
});

test('a taken port is told as an error', async () => {
  const port = Number(new URL(await start(() => [])).port);
  await expect(startAdminServer({ listen: { host: '127.0.0.1', port }, metrics, readiness: () => [], log })).rejects.toThrow('EADDRINUSE');
});
