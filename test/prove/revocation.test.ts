import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  killLeader,
  openStreams,
  patchKey,
  type RevocationScene,
  startRevocationScene,
  type TestKey,
  timeRefusal,
} from '../e2e/revocation-scene.ts';
import { metric } from '../e2e/installation.ts';
import { shortLease } from '../e2e/rotation-load.ts';
import { untilHolds } from '../support/eventually.ts';

/**
 * `make prove-revocation`: from just before the patch is sent until the slowest of three proxies has refused for the first time, again and again, with each of the ways alone.
 * The figures are told and no test: how fast a machine is decides them. What is tested is that every one came.
 */
const rounds = Number(process.env['KEYWRIGHT_PROVE_ROUNDS'] ?? '100');
let scene: RevocationScene;

beforeAll(async () => {
  scene = await startRevocationScene({ operator: shortLease });
});
afterAll(async () => {
  await scene?.stop();
});

function report(what: string, times: readonly number[]): void {
  const sorted = times.toSorted((left, right) => left - right);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN).toFixed(0);
  process.stdout.write(`${what}: ${times.length} times, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms\n`);
}

async function measure(what: string, keys: readonly TestKey[]): Promise<void> {
  const times: number[] = [];
  for (const key of keys) times.push(await timeRefusal(scene, key));
  report(what, times);
  expect(times).toHaveLength(keys.length);
}

const untilConnected = (value: number): Promise<void> =>
  untilHolds(
    async () => {
      for (const proxy of scene.proxies) expect(await metric(proxy, 'keywright_revocations_connected')).toEqual([value]);
    },
    { withinMs: 30_000 },
  );

it('all well', async () => {
  await measure('all well', await scene.makeKeys('well', rounds));
}, 600_000);

it('the API server cannot be reached by one proxy', async () => {
  const keys = await scene.makeKeys('cut', rounds);
  await scene.relay.cut();
  await measure('API server unreachable for one proxy', keys);
  await scene.relay.restore();
}, 600_000);

it('Redis is stopped', async () => {
  const keys = await scene.makeKeys('stopped', rounds);
  await scene.installation.redis.kill();
  await untilConnected(0);
  await measure('Redis stopped', keys);
  await scene.installation.redis.start();
  await untilConnected(1);
}, 600_000);

it('running streams', async () => {
  const keys = await scene.makeKeys('stream', rounds);
  const times: number[] = [];
  for (const key of keys) {
    const { ended } = await openStreams(scene, key);
    const startMs = performance.now();
    await patchKey(scene, key.name, { revoked: true });
    const streams = await ended;
    for (const { text } of streams) expect(text).toContain('"code":"key_revoked"');
    times.push(Math.max(...streams.map(({ atMs }) => atMs)) - startMs);
  }
  report('end of the slowest of three running streams', times);
}, 600_000);

/**
 * Each kill is of the process that leads at the moment, and the replica that is left has stood by and is warm. It must not have taken the lease yet when the proxies refuse: then it
 * is the standby's word that they have heard.
 */
it('the leader was killed just before', async () => {
  const keys = await scene.makeKeys('killed', rounds);
  const others = await scene.makeKeys('leaderless', rounds);
  const [first, later]: [number[], number[]] = [[], []];
  for (const [round, key] of keys.entries()) {
    await scene.restoreOperators();
    await killLeader(scene);
    first.push(await timeRefusal(scene, key));
    await expectNoLeader();
    later.push(await timeRefusal(scene, others[round] as TestKey));
    await expectNoLeader();
  }
  report('leader killed (-9) just before', first);
  report('leader dead, its lease still held', later);
  expect(first).toHaveLength(rounds);
}, 3_600_000);

async function expectNoLeader(): Promise<void> {
  expect(scene.operators).toHaveLength(1);
  for (const operator of scene.operators) expect(await metric(operator, 'keywright_leader')).toEqual([0]);
}
