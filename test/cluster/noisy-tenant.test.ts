import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { VirtualKey, VirtualKeySpec } from '../../core/resources.ts';
import { startOperator } from '../../operator/operator.ts';
import { testSettings } from '../../operator/test-world.ts';
import { systemClock } from '../../runtime/clock.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { makeMetrics } from '../../runtime/metrics.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { connect, ends, log, startProxy, until } from './snapshot-parts.ts';

const crds = join(import.meta.dirname, '..', '..', 'crds');

let controlPlane: ControlPlane;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  await controlPlane.kubectl('apply', '--server-side', '-f', join(crds, 'virtualkey.crd.yaml'), '-f', join(crds, 'channel.crd.yaml'));
  await controlPlane.kubectl(
    'wait',
    '--for=condition=Established',
    'crd/virtualkeys.keywright.dev',
    'crd/channels.keywright.dev',
    '--timeout=30s',
  );
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});
afterAll(() => controlPlane.stop());

describe('a tenant with 40 VirtualKeys as large as they can be, edited without a pause', () => {
  const hashOf = (name: string) => ({ credential: { hashes: [{ hash: `sha256:${sha256Hex(name)}` }] } });
  const names = (length: number, count: number) =>
    Array.from({ length: count }, (_, number) => `${'m'.repeat(length - 4)}${1_000 + number}`);

  /** 32 KiB of them; what is within the bound of a record fills its shard, what is beyond is refused. */
  function makeNoisySpec(number: number, turn: number): VirtualKeySpec {
    const tags = Object.fromEntries(
      Array.from({ length: 16 }, (_, tag) => [`tag-${tag}`, randomBytes(180).toString('base64').slice(0, 240)]),
    );
    const models = number % 2 === 0 ? names(120, 128) : names(60, 40);
    const channels = number % 2 === 0 ? names(200, 60).map((name) => `noisy/${name}`) : undefined;
    return {
      ...hashOf(`noisy/k${number}`),
      description: `edit ${turn}`,
      tags,
      access: { models, ...(channels === undefined ? {} : { channels }) },
    };
  }

  it('leaves the changes and revocations of others untouched', async () => {
    for (const name of ['system', 'snapshot', 'noisy', 'quiet']) await controlPlane.kubectl('create', 'namespace', name);
    const cluster = connect(controlPlane.kubeconfigPath);
    const metrics = makeMetrics();
    const operator = startOperator({
      cluster: connect(controlPlane.kubeconfigPath),
      settings: testSettings,
      clock: systemClock,
      random: (bytes) => randomBytes(bytes),
      log,
      metrics,
      settleMs: 0,
    });
    ends.push(async () => {
      await operator.stop();
      metrics.close();
    });
    void operator.lead();
    const proxy = startProxy(controlPlane.kubeconfigPath, 'snapshot');
    const apply = async (namespace: string, name: string, spec: VirtualKeySpec): Promise<void> => {
      // the operator may write the status between our two calls
      for (let outcome = 'conflict'; outcome === 'conflict';) {
        const known = await cluster.get<VirtualKey>({ kind: 'VirtualKey', namespace, name });
        const made = { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata: { name, namespace }, spec };
        ({ outcome } = await (known === undefined ? cluster.create(made) : cluster.replace({ ...made, metadata: known.metadata })));
      }
    };
    for (let number = 0; number < 40; number += 1) await apply('noisy', `k${number}`, makeNoisySpec(number, 0));
    for (let number = 0; number < 20; number += 1) await apply('quiet', `k${number}`, hashOf(`quiet/k${number}`));
    await until(() =>
      Array.from({ length: 20 }, (_, number) => proxy.recordOf(`quiet/k${number}`)).every((record) => record?.state === 'Active'),
    );

    /** Each half of the quiet keys is suspended and revoked, one after the other; how long each took from its acceptance until the proxy knew. */
    async function measure(from: number): Promise<number[]> {
      const took: number[] = [];
      for (let number = from; number < from + 10; number += 1) {
        for (const change of ['suspended', 'revoked'] as const) {
          await apply('quiet', `k${number}`, { ...hashOf(`quiet/k${number}`), [change]: true });
          const acceptedMs = performance.now();
          const wanted = change === 'suspended' ? 'Suspended' : 'Revoked';
          await until(() => proxy.recordOf(`quiet/k${number}`)?.state === wanted);
          took.push(performance.now() - acceptedMs);
        }
      }
      return took.toSorted((left, right) => left - right);
    }
    const alone = await measure(0);
    let edits = 0;
    let noisy = true;
    const noise = Array.from({ length: 4 }, async (_, worker) => {
      while (noisy) {
        edits += 1;
        await apply('noisy', `k${(edits * 4 + worker) % 40}`, makeNoisySpec((edits * 4 + worker) % 40, edits)).catch(() => undefined);
      }
    });
    const beside = await measure(10);
    noisy = false;
    await Promise.all(noise);
    const show = (took: number[]) => `median ${Math.round(took[10] ?? 0)} ms, slowest ${Math.round(took.at(-1) ?? 0)} ms`;
    process.stdout.write(`from acceptance to the proxy: alone ${show(alone)}; beside ${edits} edits of 40 large keys ${show(beside)}\n`);
    expect(edits).toBeGreaterThan(20);
    const refused = await cluster.get<VirtualKey>({ kind: 'VirtualKey', namespace: 'noisy', name: 'k0' });
    expect(refused?.status?.conditions?.find(({ type }) => type === 'Accepted')?.status).toBe('False');
    expect(proxy.recordOf('noisy/k1')?.state).toBe('Active');
  });
});
