import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import type { VirtualKeySpec } from '../../core/resources.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { type ApiClient, forEach } from './api-client.ts';
import { type Fleet, longestStall, type Running, sample, type Stall } from './fleet.ts';
import { type Latency, toLatency } from './latency.ts';
import { type Told, watchVersions } from './told.ts';

export interface NoiseOptions {
  /** rounds of edit, suspension and revocation, one after the other: so many in each phase */
  readonly rounds: number;
  /** how many edits of the noisy tenant are on their way at any time */
  readonly atOnce: number;
  /** whether the operator can tell of revocations through Redis as well */
  readonly withRedis: boolean;
}

export interface NoiseReport {
  /** the other tenant has no VirtualKeys */
  readonly absent: Phase;
  /** he has them, at rest */
  readonly alone: Phase;
  /** he edits them without a pause */
  readonly beside: Phase;
  readonly noise: {
    readonly seconds: number;
    readonly edits: number;
    /** of the operator, for whomever, in that time */
    readonly statuses: number;
    readonly shards: number;
  };
}

/** From the API server's answer to the change until a proxy answers accordingly; and until the API server has told a watch of it, without which nobody can do anything. */
interface Phase {
  readonly told: Latency;
  readonly edit: Latency;
  readonly suspension: Latency;
  readonly revocation: Latency;
  readonly operatorStall: Stall;
  readonly proxyStall: Stall;
}

export const noisyKeys = 40;
const group = '/apis/keywright.dev/v1alpha1';
const versions = 3;
/** a bound against hanging, not a measure */
const hangMs = 60_000;

/** Operator, proxy, API server and Redis are processes of their own; the noise and the measuring are this one. */
export async function proveNoisyTenant(fleet: Fleet, { rounds, atOnce, withRedis }: NoiseOptions): Promise<NoiseReport> {
  const { api } = fleet;
  const [operator, proxy] = await Promise.all([
    fleet.startOperator(withRedis ? { KEYWRIGHT_REDIS_URL: fleet.redisUrl } : {}),
    fleet.startProxy({ KEYWRIGHT_TRUSTED_PROXIES: '127.0.0.1' }),
  ]);
  for (const name of ['noisy', 'quiet']) await api.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  const keys = Array.from({ length: rounds * 3 }, (_, index) => ({ name: `key-${index}`, text: `sk-${randomBytes(24).toString('hex')}` }));
  const specs = Array.from({ length: noisyKeys * versions }, (_, index) => toNoisySpec(index % noisyKeys));
  await forEach(keys, 4, ({ name, text }) => api.post(pathOf('quiet'), toKey(name, { ...toHash(text), access: { models: [usual] } })));
  const client = new Pool(proxy.address, { connections: 1 });
  const told = await watchVersions(fleet.controlPlane, pathOf('quiet'));
  try {
    const scene = { api, operator, proxy, client, told };
    for (const { text } of keys) await untilAnswer(() => ask(client, text, usual), isAdmitted);
    const absent = await measure(scene, keys.slice(0, rounds));
    await forEach(specs.slice(0, noisyKeys), 4, (spec) => api.post(pathOf('noisy'), toKey(`key-${specs.indexOf(spec)}`, spec)));
    // what they have set going at their creation is over
    await sleep(5_000);
    const alone = await measure(scene, keys.slice(rounds, rounds * 2));
    const noise = startNoise(api, specs, atOnce);
    const [startedMs, statuses, shards] = [performance.now(), await countStatuses(operator), await countShards(operator)];
    // until the noise is more than its first burst
    await sleep(3_000);
    const beside = await measure(scene, keys.slice(rounds * 2));
    const seconds = (performance.now() - startedMs) / 1_000;
    const writes = { statuses: (await countStatuses(operator)) - statuses, shards: (await countShards(operator)) - shards };
    const edits = await noise.end();
    return { absent, alone, beside, noise: { seconds: Math.round(seconds), edits, ...writes } };
  } finally {
    await told.close();
    await client.close();
  }
}

/** That the noisy tenant himself is served: after the last edit every key of his says so in its status. */
export async function untilNoiseIsSeen(fleet: Fleet): Promise<void> {
  await untilHolds(
    async () => {
      const { items } = await fleet.api.get<{ items: { metadata: { generation: number }; status?: { observedGeneration?: number } }[] }>(
        pathOf('noisy'),
      );
      if (items.length !== noisyKeys || items.some(({ metadata, status }) => status?.observedGeneration !== metadata.generation))
        throw new Error('not every edit has been looked at');
    },
    { withinMs: hangMs, everyMs: 500 },
  );
}

interface QuietKey {
  readonly name: string;
  readonly text: string;
}

interface Scene {
  readonly api: ApiClient;
  readonly operator: Running;
  readonly proxy: Running;
  readonly client: Pool;
  readonly told: Told;
}

async function measure(scene: Scene, keys: readonly QuietKey[]): Promise<Phase> {
  const { operator, proxy, client } = scene;
  const [told, edit, suspension, revocation]: [number[], number[], number[], number[]] = [[], [], [], []];
  await Promise.all([longestStall(operator), longestStall(proxy)]);
  for (const { name, text } of keys) {
    const change = async (spec: object, until: () => Promise<number>): Promise<number> => {
      const { acceptedMs, version } = await patch(scene, name, spec);
      await until();
      const enforcedMs = performance.now();
      // enforced is sometimes before it is told to us
      const toldMs = await eventually(() => scene.told.atMs(name, version), { withinMs: hangMs, everyMs: 2 });
      told.push(Math.max(0, toldMs - acceptedMs));
      return enforcedMs - acceptedMs;
    };
    edit.push(await change({ access: { models: [usual, added] } }, () => untilAnswer(() => ask(client, text, added), isAdmitted)));
    suspension.push(await change({ suspended: true }, () => untilAnswer(() => ask(client, text, usual), isRefused)));
    await change({ suspended: false }, () => untilAnswer(() => ask(client, text, usual), isAdmitted));
    revocation.push(await change({ revoked: true }, () => untilAnswer(() => ask(client, text, usual), isRefused)));
  }
  const [operatorStall, proxyStall] = await Promise.all([longestStall(operator), longestStall(proxy)]);
  return {
    told: toLatency(told),
    edit: toLatency(edit),
    suspension: toLatency(suspension),
    revocation: toLatency(revocation),
    operatorStall,
    proxyStall,
  };
}

async function patch({ api }: Scene, name: string, spec: object): Promise<{ acceptedMs: number; version: string }> {
  const { metadata } = await api.patched<{ metadata: { resourceVersion: string } }>(`${pathOf('quiet')}/${name}`, { spec });
  return { acceptedMs: performance.now(), version: metadata.resourceVersion };
}

const usual = 'gpt-4o-mini';
/** one that no key may use at the start */
const added = 'gpt-4.1';
const isAdmitted = (status: number): boolean => status === 200;
const isRefused = (status: number): boolean => status === 403;

async function ask(client: Pool, key: string, model: string): Promise<number> {
  const answer = await client.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'x-forwarded-for': otherAddress() },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await answer.body.dump();
  return answer.statusCode;
}

let addresses = 0;

/** Refusals are counted by address, and this asks until it is refused. */
function otherAddress(): string {
  addresses += 1;
  return `127.${1 + ((addresses >> 16) & 127)}.${(addresses >> 8) & 255}.${addresses & 255}`;
}

async function untilAnswer(question: () => Promise<number>, isWanted: (status: number) => boolean): Promise<number> {
  const beganMs = performance.now();
  for (;;) {
    const status = await question();
    const tookMs = performance.now() - beganMs;
    if (isWanted(status)) return tookMs;
    if (tookMs > hangMs) throw new Error(`the proxy still answers ${status}`);
    await sleep(2);
  }
}

/** Edits one key after the other without a pause. Each body is made once, so that the noise costs this process little. */
function startNoise(api: ApiClient, specs: readonly VirtualKeySpec[], atOnce: number): { end(): Promise<number> } {
  let edits = 0;
  let isOver = false;
  async function edit(): Promise<void> {
    while (!isOver) {
      const index = edits % specs.length;
      edits += 1;
      await api.patch(`${pathOf('noisy')}/key-${index % noisyKeys}`, { spec: { ...specs[index], description: `edit ${edits}` } });
    }
  }
  const workers = Promise.all(Array.from({ length: atOnce }, () => edit()));
  return {
    async end() {
      isOver = true;
      await workers;
      return edits;
    },
  };
}

/**
 * As large as they come, of three kinds: refused, because its Channels are not there; accepted, with a record as large as may be in the snapshot; and with a delivery Secret that has to be
 * written anew for each edit.
 */
function toNoisySpec(number: number): VirtualKeySpec {
  const tags = toTexts('tag-', 240);
  if (number % 3 === 0)
    return {
      ...toHash(`noisy/${number}`),
      tags,
      access: { models: toNames(120, 128), channels: toNames(200, 60).map((name) => `noisy/${name}`) },
    };
  const access = { models: toNames(60, 50) };
  if (number % 3 === 1) return { ...toHash(`noisy/${number}`), tags, access };
  return { tags, access, delivery: { template: { annotations: toTexts('example.com/a-', 750), data: toTexts('entry-', 750) } } };
}

function toTexts(prefix: string, length: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: 16 }, (_, index) => [`${prefix}${index}`, randomBytes(length).toString('base64').slice(0, length)]),
  );
}

/** Each version of a spec has others. */
function toNames(length: number, count: number): string[] {
  const salt = randomBytes(8).toString('hex');
  return Array.from({ length: count }, (_, number) => `${salt}${'m'.repeat(length - 20)}${1_000 + number}`);
}

function toHash(text: string): VirtualKeySpec {
  return { credential: { hashes: [{ hash: `sha256:${createHash('sha256').update(text).digest('hex')}` }] } };
}

function toKey(name: string, spec: VirtualKeySpec): unknown {
  return { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata: { name }, spec };
}

function pathOf(namespace: string): string {
  return `${group}/namespaces/${namespace}/virtualkeys`;
}

const countStatuses = (operator: Running): Promise<number> => sample(operator, 'keywright_kube_requests_total{verb="patch",code="200"}');
const countShards = (operator: Running): Promise<number> => sample(operator, 'keywright_publish_total{outcome="written"}');
