import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { sha256Hex } from '../../runtime/digest.ts';
import { type ApiClient, makeApiClient } from '../prove/api-client.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { type Relay, startRelay } from '../support/relay.ts';
import {
  channelManifests,
  type Installation,
  metric,
  otherClient,
  type RunningProcess,
  startInstallation,
  untilReady,
  untilStatus,
  virtualKey,
} from './installation.ts';

/** A key whose plaintext the test chose: nothing has to be delivered before it can be used. */
export interface TestKey {
  readonly name: string;
  readonly text: string;
}

/** Two operators and three proxies; the third proxy reaches the API server through a relay that can be cut. */
export interface RevocationScene {
  readonly installation: Installation;
  readonly proxies: readonly RunningProcess[];
  readonly relay: Relay;
  readonly api: ApiClient;
  operators: RunningProcess[];
  /** accepted by every proxy when it resolves; `spec`: further fields */
  makeKeys(prefix: string, count: number, spec?: string): Promise<TestKey[]>;
  leader(): Promise<RunningProcess>;
  /** starts operators until there are two, and waits until one leads and all see everything and reach Redis */
  restoreOperators(): Promise<void>;
  stop(): Promise<void>;
}

/** `operator`: further settings of every operator */
export async function startRevocationScene({ operator = {} }: { operator?: Record<string, string> } = {}): Promise<RevocationScene> {
  const installation = await startInstallation({
    proxies: 2,
    operator,
    behaviour: ({ body }) => (body.includes('slowly') ? { chunks: 2_000, chunkDelayMs: 20 } : {}),
  });
  const { controlPlane, directory } = installation;
  const relay = await startRelay('127.0.0.1', Number(new URL(controlPlane.url).port));
  const direct = controlPlane.kubeconfigFor(await controlPlane.createToken('keywright-system/keywright-proxy'));
  const relayed = join(directory, 'relayed.json');
  writeFileSync(relayed, readFileSync(direct, 'utf8').replaceAll(controlPlane.url, `https://127.0.0.1:${relay.port}`), { mode: 0o600 });
  const third = await installation.startProxy({ KUBECONFIG: relayed });
  await installation.apply(channelManifests(installation.provider));
  await untilReady(third);
  const api = makeApiClient(controlPlane, 4);
  const scene: RevocationScene = {
    installation,
    proxies: [...installation.proxies, third],
    relay,
    api,
    operators: [installation.operator, await installation.startOperator(operator)],
    async makeKeys(prefix, count, spec = '') {
      const keys = Array.from({ length: count }, (_, index) => ({
        name: `${prefix}-${index}`,
        text: `sk-${randomBytes(24).toString('hex')}`,
      }));
      await installation.apply(
        keys
          .map(({ name, text }) => virtualKey(name, `{ credential: { hashes: [{ hash: "sha256:${sha256Hex(text)}" }] }${spec} }`))
          .join('---\n'),
      );
      for (const proxy of scene.proxies) for (const { text } of keys) await untilStatus(proxy, text, 200);
      return keys;
    },
    leader: () =>
      eventually(
        async () => {
          for (const operator of scene.operators) if ((await metric(operator, 'keywright_leader'))[0] === 1) return operator;
          return undefined;
        },
        { withinMs: 120_000, everyMs: 100 },
      ),
    async restoreOperators() {
      while (scene.operators.length < 2) scene.operators.push(await installation.startOperator(operator));
      await Promise.all([scene.leader(), ...scene.operators.map((each) => untilWarm(each))]);
    },
    async stop() {
      await Promise.all(scene.operators.map(({ process }) => process.stop()));
      await api.close();
      await relay.close();
      await installation.stop();
    },
  };
  return scene;
}

/** What a replica needs to tell of a revocation without leading. */
async function untilWarm(operator: RunningProcess): Promise<void> {
  await untilReady(operator);
  await untilHolds(async () => expect(await metric(operator, 'keywright_revocations_link_connected')).toEqual([1]));
}

export function patchKey({ api }: RevocationScene, name: string, spec: object): Promise<void> {
  return api.patch(`/apis/keywright.dev/v1alpha1/namespaces/default/virtualkeys/${name}`, { spec });
}

/** A bound against hanging, not a measure. */
const hangMs = 60_000;

/** Asks the proxy again and again until it refuses; gives the status and when that answer had come. Anything but 200, 401 and 403 is a failure of its own. */
async function untilRefused(proxy: RunningProcess, text: string): Promise<{ status: number; atMs: number }> {
  const deadlineMs = performance.now() + hangMs;
  while (performance.now() < deadlineMs) {
    const answer = await fetch(`${proxy.address}/v1/models`, { headers: { authorization: `Bearer ${text}`, ...otherClient() } });
    await answer.arrayBuffer();
    const atMs = performance.now();
    if (answer.status !== 200) return { status: answer.status, atMs };
    await sleep(4);
  }
  throw new Error('the key is still accepted');
}

/** Milliseconds from just before `revoke` until the slowest proxy has refused the key for the first time. Each refuses with `status`. */
export async function timeRefusal(
  scene: RevocationScene,
  key: TestKey,
  { revoke, status = 403 }: { revoke?: () => Promise<unknown>; status?: number } = {},
): Promise<number> {
  const polls = scene.proxies.map((proxy) => untilRefused(proxy, key.text));
  const startMs = performance.now();
  await (revoke === undefined ? patchKey(scene, key.name, { revoked: true }) : revoke());
  const refusals = await Promise.all(polls);
  for (const refusal of refusals) expect(refusal).toMatchObject({ status });
  return Math.max(...refusals.map(({ atMs }) => atMs)) - startMs;
}

/** A stream on every proxy that would run for most of a minute; resolves when all have begun. `ended`: the last piece of each and when it came. */
export async function openStreams(scene: RevocationScene, key: TestKey): Promise<{ ended: Promise<{ text: string; atMs: number }[]> }> {
  const answers = await Promise.all(
    scene.proxies.map((proxy) =>
      fetch(`${proxy.address}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key.text}`, 'content-type': 'application/json' },
        body: '{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"slowly"}]}',
      }),
    ),
  );
  for (const answer of answers) expect(answer.status).toBe(200);
  const ended = answers.map(async (answer) => {
    const text = await answer.text();
    return { text: text.slice(-1_000), atMs: performance.now() };
  });
  return { ended: Promise.all(ended) };
}

/** Kills the leader without a word. */
export async function killLeader(scene: RevocationScene): Promise<void> {
  const leader = await scene.leader();
  leader.process.kill('SIGKILL');
  await leader.process.child.ended;
  scene.operators = scene.operators.filter((operator) => operator !== leader);
}
