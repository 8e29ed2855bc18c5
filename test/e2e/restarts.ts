import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { VirtualKey } from '../../core/resources.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import { makePatientWriter, type PatientWriter } from '../support/patient-writer.ts';
import { channelManifests, type Installation, metric, type RunningProcess } from './installation.ts';
import { chat } from './key-objects.ts';
import { findChanged, readVersions, untilQuiet } from './quiet.ts';

interface Known {
  rpm: number;
  revoked: boolean;
}

export interface RestartReport {
  readonly restarts: number;
  readonly keys: number;
  readonly requests: number;
  /** answers 410 and ERROR events that the operator's watches met */
  readonly expired: number;
}

const steady = ['steady-1', 'steady-2'];

/**
 * Kills the API server (SIGKILL) and starts it again while keys are made, edited and revoked and requests run; before every second start the history is taken out
 * of etcd. Afterwards everything must have converged: no key lost, none doubled, nothing written at rest; and meanwhile no request failed and no proxy was unready.
 */
export async function proveRestarts(
  installation: Installation,
  { restarts, keysEach }: { restarts: number; keysEach: number },
): Promise<RestartReport> {
  const writer = makePatientWriter(installation.controlPlane);
  const known = new Map<string, Known>();
  /** name → the key as first delivered */
  const delivered = new Map<string, string>();
  try {
    await installation.apply(channelManifests(installation.provider));
    for (const name of steady) await make(writer, known, name);
    await eventually(async () => (await collect(writer, delivered)) === steady.length, { withinMs: 60_000 });
    const load = startLoad(installation, () => steady.map((name) => delivered.get(name) ?? ''));
    for (let round = 1; round <= restarts; round += 1) {
      await restartUnderWrites(installation, { writer, known, round, keysEach });
      await collect(writer, delivered);
    }
    await untilConverged(writer, known);
    await collect(writer, delivered);
    const requests = await load.end();
    await checkKeys(installation, known, delivered);
    await untilAtRest(installation);
    return { restarts, keys: known.size, requests, expired: await countExpired(installation.operator) };
  } finally {
    await writer.close();
  }
}

/** A while in which nothing is written. More than one may be needed: revoked hashes are filed every five minutes. */
async function untilAtRest(installation: Installation): Promise<void> {
  await untilQuiet(installation.operator);
  await untilHolds(
    async () => {
      const before = await readVersions(installation);
      await sleep(5_000);
      expect(await findChanged(installation, before)).toEqual([]);
    },
    { withinMs: 120_000 },
  );
}

async function make(writer: PatientWriter, known: Map<string, Known>, name: string): Promise<void> {
  await writer.create(name, { limits: { rpm: 1_000_000 } });
  known.set(name, { rpm: 1_000_000, revoked: false });
}

async function restartUnderWrites(
  { controlPlane }: Installation,
  { writer, known, round, keysEach }: { writer: PatientWriter; known: Map<string, Known>; round: number; keysEach: number },
): Promise<void> {
  let done = 0;
  const work = Array.from({ length: keysEach }, (_, index) => async () => {
    const name = `round-${round}-key-${index}`;
    await make(writer, known, name);
    done += 1;
    if (index % 2 === 0) {
      await writer.patch(name, { limits: { rpm: 5_000 + index } });
      known.set(name, { rpm: 5_000 + index, revoked: false });
    }
    if (index % 5 === 0) {
      await writer.patch(name, { revoked: true });
      known.set(name, { rpm: 0, revoked: true });
    }
  });
  const workers = Array.from({ length: 4 }, async () => {
    for (let next = work.shift(); next !== undefined; next = work.shift()) await next();
  });
  await eventually(() => done >= keysEach / 3, { withinMs: 60_000, everyMs: 1 });
  await controlPlane.killApiServer();
  if (round % 2 === 0) await controlPlane.compactEtcd();
  await controlPlane.startApiServer();
  await Promise.all(workers);
}

/** Remembers what was delivered. A key that is there once never becomes another. Gives how many have been seen. */
async function collect(writer: PatientWriter, delivered: Map<string, string>): Promise<number> {
  const secrets = await writer.list<{ metadata: { name: string }; data?: { apiKey?: string } }>(
    '/api/v1/namespaces/default/secrets?labelSelector=keywright.dev/key',
  );
  for (const { metadata, data } of secrets) {
    const name = metadata.name.replace(/-virtualkey$/, '');
    const key = data?.apiKey === undefined ? undefined : Buffer.from(data.apiKey, 'base64').toString();
    if (key !== undefined) expect(key, `${name} has another key than before`).toBe(delivered.get(name) ?? key);
    if (key !== undefined) delivered.set(name, key);
  }
  return delivered.size;
}

function startLoad({ proxies }: Installation, keys: () => string[]) {
  let going = true;
  const seen = new Map<string, number>();
  const note = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);
  const loops = proxies.map(async (proxy) => {
    while (going) {
      for (const key of keys()) note(`request ${(await chat(proxy, key)).status}`);
      const readiness = await fetch(`${proxy.admin}/readyz`);
      await readiness.arrayBuffer();
      note(`ready ${readiness.status}`);
      await sleep(20);
    }
  });
  return {
    async end(): Promise<number> {
      going = false;
      await Promise.all(loops);
      expect([...seen.keys()].toSorted()).toEqual(['ready 200', 'request 200']);
      return seen.get('request 200') ?? 0;
    },
  };
}

async function untilConverged(writer: PatientWriter, known: ReadonlyMap<string, Known>): Promise<void> {
  await untilHolds(
    async () => {
      const keys = await writer.list<VirtualKey>('/apis/keywright.dev/v1alpha1/namespaces/default/virtualkeys');
      expect(keys).toHaveLength(known.size);
      const wrong = keys.filter(({ metadata, status }) => {
        const ready = status?.conditions?.find(({ type }) => type === 'Ready');
        const reason = known.get(metadata.name)?.revoked === true ? 'Revoked' : 'Issued';
        return ready?.reason !== reason || ready.status !== 'True' || status?.observedGeneration !== metadata.generation;
      });
      expect(wrong.map(({ metadata, status }) => `${metadata.name} ${status?.phase}`)).toEqual([]);
      // Not one was made twice: each has the credential that it got first.
      for (const { metadata, status } of keys)
        if (known.get(metadata.name)?.revoked === false) expect([metadata.name, status?.credentials?.length]).toEqual([metadata.name, 1]);
    },
    { withinMs: 120_000, everyMs: 500 },
  );
}

async function checkKeys(
  { proxies }: Installation,
  known: ReadonlyMap<string, Known>,
  delivered: ReadonlyMap<string, string>,
): Promise<void> {
  for (const [name, { rpm, revoked }] of known) {
    const key = delivered.get(name);
    // A key that was revoked before anybody looked has left its Secret.
    if (key === undefined && revoked) continue;
    for (const proxy of proxies) {
      await untilHolds(async () => {
        const answer = await chat(proxy, key ?? '');
        expect([name, answer.status]).toEqual([name, revoked ? 403 : 200]);
        if (!revoked) expect(answer.headers.get('x-ratelimit-limit-requests')).toBe(String(rpm));
      });
    }
  }
  expect(new Set(delivered.values()).size).toBe(delivered.size);
}

async function countExpired(operator: RunningProcess): Promise<number> {
  const text = await (await fetch(`${operator.admin}/metrics`)).text();
  const lines = text
    .split('\n')
    .filter((line) => /^keywright_watch_events_total\{.*type="ERROR"|^keywright_kube_requests_total\{.*code="410"/.test(line));
  expect((await metric(operator, 'keywright_watch_restarts_total')).length).toBeGreaterThan(0);
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
