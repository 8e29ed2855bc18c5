import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { untilHolds } from '../support/eventually.ts';
import { type ApiClient, forEach } from './api-client.ts';
import { type Latency, toLatency } from './latency.ts';
import { type Fleet, longestStall, memoryOf, type Running, sample, type Stall, sumOf } from './fleet.ts';

export interface ScaleOptions {
  readonly keys: number;
  readonly namespaces: number;
  /** single edits of each kind, one after the other */
  readonly edits: number;
  /** how long writes are counted while nothing changes */
  readonly restMs: number;
  /** what is being done, for people */
  readonly tell: (what: string) => void;
}

export interface ScaleResult {
  readonly keys: number;
  readonly createdSeconds: number;
  readonly readySeconds: number;
  readonly operatorPeakMiB: number;
  readonly operatorRestMiB: number;
  readonly operatorStallWhileLoading: Stall;
  readonly operatorStallOfOneChange: Stall;
  readonly writesPerMinuteAtRest: number;
  readonly snapshotKiB: number;
  readonly largestShardKiB: number;
  readonly proxyReadyMs: number;
  readonly proxyMiB: number;
  readonly proxyStallOfFirstLoad: Stall;
  readonly proxyStallOfOneChange: Stall;
  readonly suspension: Latency;
  readonly edit: Latency;
  readonly restart: Restart;
}

export interface Restart {
  readonly leadsSeconds: number;
  /** until every key has been looked at */
  readonly quietSeconds: number;
  readonly writes: number;
  readonly reads: number;
  readonly peakMiB: number;
  readonly restMiB: number;
}

/** longer than anything that works takes; a bound against hanging */
const withinMs = 30 * 60_000;

/** Creates so many VirtualKeys on a real API server and measures what becomes of them. Fails where a promise is broken that does not depend on the machine. */
export async function proveScale(fleet: Fleet, options: ScaleOptions): Promise<ScaleResult> {
  const { keys, tell } = options;
  const { api } = fleet;
  const operator = await fleet.startOperator();
  await untilHolds(async () => expectEqual(await sample(operator, 'keywright_leader'), 1), { withinMs });
  await longestStall(operator);
  const names = await createNamespaces(api, options);
  tell(`creating ${keys} VirtualKeys`);
  const beganMs = performance.now();
  await forEach(names, 16, async ({ namespace, name }) =>
    api.post(`${group}/namespaces/${namespace}/virtualkeys`, toVirtualKey(namespace, name)),
  );
  const createdSeconds = secondsSince(beganMs);
  tell(`created in ${createdSeconds} s; waiting until all are Ready`);
  await untilAllActive(operator, keys);
  const readySeconds = secondsSince(beganMs);
  const operatorStallWhileLoading = await longestStall(operator);
  tell(`all Ready after ${readySeconds} s; ${JSON.stringify(memoryOf(operator.process.pid))}`);
  await requireReady(api, keys);
  await untilQuiet(api, operator);

  const writesPerMinuteAtRest = await countWrites(api, options.restMs);
  const { nowMiB: operatorRestMiB, peakMiB: operatorPeakMiB } = memoryOf(operator.process.pid);
  tell(
    `at rest: ${writesPerMinuteAtRest} writes a minute, ${operatorRestMiB} MiB; ${JSON.stringify(operator.process.lines.at(-1)?.['memory'])}`,
  );

  const proxy = await fleet.startProxy();
  // what it took to load the program held up nobody
  await longestStall(proxy);
  await untilHolds(async () => expectEqual((await fetch(`${proxy.admin}/readyz`)).status, 200), { withinMs, everyMs: 5 });
  const proxyReadyMs = Math.round(performance.now() - proxy.startedMs);
  const proxyStallOfFirstLoad = await longestStall(proxy);
  const { nowMiB: proxyMiB } = memoryOf(proxy.process.pid);
  tell(`a proxy is ready after ${proxyReadyMs} ms with ${proxyMiB} MiB; ${JSON.stringify(proxyStallOfFirstLoad)}`);

  await longestStall(operator);
  const { suspension, edit } = await measureEdits(fleet, proxy, { ...options, names });
  const proxyStallOfOneChange = await longestStall(proxy);
  const operatorStallOfOneChange = await longestStall(operator);
  tell(`edits: ${JSON.stringify({ suspension, edit, proxyStallOfOneChange, operatorStallOfOneChange })}`);

  await untilQuiet(api, operator);
  const restart = await measureRestart(fleet, operator);
  tell(`restart: ${JSON.stringify(restart)}`);
  return {
    keys,
    createdSeconds,
    readySeconds,
    operatorPeakMiB,
    operatorRestMiB,
    operatorStallWhileLoading,
    operatorStallOfOneChange,
    writesPerMinuteAtRest,
    ...(await measureSnapshot(api, keys)),
    proxyReadyMs,
    proxyMiB,
    proxyStallOfFirstLoad,
    proxyStallOfOneChange,
    suspension,
    edit,
    restart,
  };
}

interface KeyName {
  readonly namespace: string;
  readonly name: string;
}

const group = '/apis/keywright.dev/v1alpha1';

async function createNamespaces(api: ApiClient, { keys, namespaces }: ScaleOptions): Promise<readonly KeyName[]> {
  const names = Array.from({ length: namespaces }, (_, index) => `team-${index}`);
  await forEach(names, 16, async (name) => api.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
  return Array.from({ length: keys }, (_, index) => ({
    namespace: `team-${index % namespaces}`,
    name: `application-${Math.floor(index / namespaces)}`,
  }));
}

function toVirtualKey(namespace: string, name: string): unknown {
  return {
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'VirtualKey',
    metadata: { name, namespace },
    spec: {
      owner: { team: namespace, project: name, user: `${name}@example.com` },
      access: { models: ['gpt-4o', 'gpt-4o-mini', 'text-embedding-3-*'] },
      limits: { rpm: 600, tpm: 200_000 },
    },
  };
}

async function untilAllActive(operator: Running, keys: number): Promise<void> {
  const wanted = 'keywright_virtualkeys{phase="Active"}';
  await untilHolds(async () => expectEqual(await sample(operator, wanted), keys), { withinMs, everyMs: 1_000 });
}

/** Looks at every key once, page by page: the operator's own word is not enough. */
async function requireReady(api: ApiClient, keys: number): Promise<void> {
  let ready = 0;
  let next = '';
  do {
    const page = await api.get<VirtualKeyList>(`${group}/virtualkeys?limit=500&continue=${encodeURIComponent(next)}`);
    ready += page.items.filter((key) => key.status?.conditions.some(({ type, status }) => type === 'Ready' && status === 'True')).length;
    next = page.metadata.continue ?? '';
  } while (next !== '');
  expectEqual(ready, keys);
}

interface VirtualKeyList {
  readonly metadata: { readonly continue?: string };
  readonly items: readonly { readonly status?: { readonly conditions: readonly { readonly type: string; readonly status: string }[] } }[];
}

/**
 * Writes of everything that the operator could write, by all clients. Leases are what a leader is known by, and not counted; Events are notes, five a second, which may trickle for
 * minutes after thousands of keys were made: they count only where nothing has happened that could be told.
 */
async function writesSoFar(api: ApiClient, resources = 'virtualkeys|channels|secrets'): Promise<number> {
  return sumOf(
    await api.text('/metrics'),
    (line) =>
      line.startsWith('apiserver_request_total{') &&
      /verb="(POST|PUT|PATCH|DELETE|APPLY)"/.test(line) &&
      new RegExp(`resource="(${resources})"`).test(line),
  );
}

async function countWrites(api: ApiClient, forMs: number): Promise<number> {
  const before = await writesSoFar(api);
  await sleep(forMs);
  return ((await writesSoFar(api)) - before) * (60_000 / forMs);
}

/** Until nothing waits to be looked at and nothing was written for a while: numbers of users and the last Events come some seconds late. */
async function untilQuiet(api: ApiClient, operator: Running): Promise<void> {
  await untilHolds(
    async () => {
      expectEqual(await sample(operator, 'keywright_workqueue_depth'), 0);
      expectEqual(await countWrites(api, quietMs), 0);
    },
    { withinMs },
  );
}

/** numbers of users are at most five seconds behind */
const quietMs = 6_500;

async function measureSnapshot(api: ApiClient, keys: number): Promise<{ snapshotKiB: number; largestShardKiB: number }> {
  const list = await api.get<{ items: { metadata: { name: string }; data: { document: string } }[] }>(
    '/api/v1/namespaces/keywright-snapshot/secrets',
  );
  const sizes = list.items.map(({ data }) => Buffer.from(data.document, 'base64').length);
  if (keys > 0 && sizes.length < 2) throw new Error('there is no snapshot');
  return { snapshotKiB: toKiB(sizes.reduce((sum, size) => sum + size, 0)), largestShardKiB: toKiB(Math.max(...sizes)) };
}

async function measureEdits(
  { api }: Fleet,
  proxy: Running,
  { names, edits }: ScaleOptions & { readonly names: readonly KeyName[] },
): Promise<{ suspension: Latency; edit: Latency }> {
  const pool = new Pool(proxy.address, { connections: 1 });
  const chosen = Array.from({ length: edits }, (_, index) => names[Math.floor(((index + 0.5) * names.length) / edits)] ?? failed());
  const edit: number[] = [];
  const suspension: number[] = [];
  try {
    for (const { namespace, name } of chosen) {
      const secret = await api.get<{ data: { apiKey: string } }>(`/api/v1/namespaces/${namespace}/secrets/${name}-virtualkey`);
      const key = Buffer.from(secret.data.apiKey, 'base64').toString();
      const path = `${group}/namespaces/${namespace}/virtualkeys/${name}`;
      const ask = (): Promise<number> => complete(pool, key);
      expectEqual(await ask(), 403);
      await api.patch(path, { spec: { access: { models: [model] } } });
      edit.push(await untilAnswer(ask, 200));
      await api.patch(path, { spec: { suspended: true } });
      suspension.push(await untilAnswer(ask, 403));
    }
  } finally {
    await pool.close();
  }
  return { suspension: toLatency(suspension), edit: toLatency(edit) };
}

/** One that no key may use at the start. */
const model = 'gpt-4.1';

async function complete(pool: Pool, key: string): Promise<number> {
  const answer = await pool.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await answer.body.dump();
  return answer.statusCode;
}

/** How long it takes, from the API server's answer to the write, until the proxy answers so. */
async function untilAnswer(ask: () => Promise<number>, status: number): Promise<number> {
  const beganMs = performance.now();
  for (;;) {
    const answer = await ask();
    const tookMs = performance.now() - beganMs;
    if (answer === status) return tookMs;
    if (tookMs > withinMs) throw new Error(`the proxy still answers ${answer}`);
    await sleep(2);
  }
}

async function measureRestart(fleet: Fleet, operator: Running): Promise<Restart> {
  const { api } = fleet;
  const keys = await sample(operator, 'keywright_snapshot_keys');
  await operator.process.stop(60_000);
  const all = 'virtualkeys|channels|secrets|events';
  const before = await writesSoFar(api, all);
  const next = await fleet.startOperator();
  await untilHolds(async () => expectEqual(await sample(next, 'keywright_leader'), 1), { withinMs, everyMs: 20 });
  const leadsSeconds = secondsSince(next.startedMs);
  await untilHolds(
    async () => {
      if ((await sample(next, 'keywright_reconcile_total{kind="VirtualKey"}')) < keys) throw new Error('not every key has been looked at');
      expectEqual(await sample(next, 'keywright_workqueue_depth'), 0);
    },
    { withinMs, everyMs: 100 },
  );
  const quietSeconds = secondsSince(next.startedMs);
  await sleep(quietMs);
  const { nowMiB: restMiB, peakMiB } = memoryOf(next.process.pid);
  const reads = await sample(next, 'keywright_kube_requests_total{verb="get",code="200"}');
  return { leadsSeconds, quietSeconds, writes: (await writesSoFar(api, all)) - before, reads, peakMiB, restMiB };
}

function toKiB(bytes: number): number {
  return Math.round(bytes / 102.4) / 10;
}

function secondsSince(beganMs: number): number {
  return Math.round((performance.now() - beganMs) / 100) / 10;
}

function expectEqual(actual: number, wanted: number): void {
  if (actual !== wanted) throw new Error(`${actual} instead of ${wanted}`);
}

function failed(): never {
  throw new Error('there is no such key');
}
