import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate as tick, setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeLog } from '../../../runtime/log.ts';
import { makeFakeClock } from '../../../test/support/fake-clock.ts';
import type { Exchange } from '../../../test/support/scripted-server.ts';
import { startScriptedServer } from '../../../test/support/scripted-server.ts';
import type { SecretObject } from '../cluster.ts';
import { makeKubernetesCluster } from './kubernetes.ts';

const secret: SecretObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'a', resourceVersion: '1' }, data: {} };
const reference = { kind: 'Secret', namespace: 'a', name: 's' } as const;
const found = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'a', resourceVersion: '2' } };

async function start(
  script: (exchange: Exchange) => void,
  user?: (directory: string) => Record<string, unknown>,
  mayWrite: () => boolean = () => true,
) {
  const server = await startScriptedServer(script);
  const clock = makeFakeClock();
  const registry = new Registry();
  const plain = server.kubeconfig();
  const kubeconfigPath = user === undefined ? plain : server.kubeconfig(user(dirname(plain)));
  const log = makeLog({ level: 'silent', name: 'test' });
  const cluster = makeKubernetesCluster({ kubeconfigPath, log, metrics: { registry }, clock, random: () => 0, mayWrite });
  onTestFinished(async () => {
    await cluster.close();
    await server.stop();
  });
  const until = (met: () => unknown) => expect.poll(met, { timeout: 45_000, interval: 2 }).toBeTruthy();
  /** lets time pass until the promise settles; each step leaves the network its turn */
  async function passing<T>(promise: Promise<T>, stepMs: number): Promise<T> {
    const state = { settled: false };
    const ended = promise.then(
      () => (state.settled = true),
      () => (state.settled = true),
    );
    while (!state.settled) {
      await Promise.race([ended, sleep(3)]);
      if (!state.settled) clock.advance(stepMs);
    }
    return promise;
  }
  return { server, clock, registry, cluster, until, passing };
}

describe('Kubernetes client', () => {
  it('takes for absent only what the server says of this very object, not any 404', async () => {
    const answers = [
      { kind: 'Status', code: 404, reason: 'NotFound', details: { name: 's', kind: 'secrets' } },
      { kind: 'Status', code: 404, reason: 'NotFound', details: {} },
      { kind: 'Status', code: 404, reason: 'NotFound', details: { name: 'other', kind: 'secrets' } },
      '404 page not found',
    ];
    const { cluster } = await start(({ json }) => json(404, answers.shift()));
    expect(await cluster.get(reference)).toBeUndefined();
    for (let left = answers.length; left > 0; left -= 1)
      await expect(cluster.get(reference)).rejects.toMatchObject({ reason: 'Unavailable' });
  });

  it('makes few connections for many calls, and not too many calls at once', async () => {
    let now = 0;
    let most = 0;
    const { cluster, server } = await start(async ({ json }) => {
      now += 1;
      most = Math.max(most, now);
      for (let turn = 0; turn < 5; turn += 1) await tick();
      now -= 1;
      json(200, found);
    });
    await Promise.all(Array.from({ length: 200 }, () => cluster.get(reference)));
    expect(server.requests).toHaveLength(200);
    expect(most).toBeLessThanOrEqual(16);
    // A few more than calls at once: a connection is free again a moment after its answer has ended.
    const { connections } = server;
    expect(connections).toBeLessThanOrEqual(48);
    for (let call = 0; call < 50; call += 1) await cluster.get(reference);
    expect(server.connections).toBe(connections);
  });

  it('lets a lease pass the queue', async () => {
    const held: Exchange[] = [];
    const { cluster, server, until } = await start((exchange) => {
      if (exchange.path.includes('/leases/')) exchange.json(404, { kind: 'Status', code: 404, reason: 'NotFound', details: { name: 'l' } });
      else held.push(exchange);
    });
    const calls = Array.from({ length: 30 }, () => cluster.get(reference));
    await until(() => held.length === 16);
    expect(await cluster.get({ kind: 'Lease', namespace: 'a', name: 'l' })).toBeUndefined();
    expect(server.requests).toHaveLength(17);
    while (held.length > 0 || server.requests.length < 31) {
      held.shift()?.json(200, found);
      await tick();
    }
    await Promise.all(calls);
  });

  it('waits as long as Retry-After says, and tries again', async () => {
    const answers = [429, 429, 200];
    const asked: number[] = [];
    const { cluster, clock, passing } = await start(({ json }) => {
      asked.push(clock.now());
      const code = answers.shift() ?? 200;
      json(code, code === 200 ? found : {}, code === 200 ? {} : { 'retry-after': '3' });
    });
    expect(await passing(cluster.get(reference), 500)).toMatchObject({ kind: 'Secret' });
    const [first = 0, second = 0, third = 0] = asked;
    expect(asked).toHaveLength(3);
    expect(Math.min(second - first, third - second)).toBeGreaterThanOrEqual(3_000);
  });

  it('gives a longer Retry-After, and an end to patience, to the caller', async () => {
    const long = await start(({ json }) => json(429, {}, { 'retry-after': '300' }));
    await expect(long.passing(long.cluster.get(reference), 500)).rejects.toMatchObject({ reason: 'Throttled', retryAfterMs: 300_000 });
    expect(long.server.requests).toHaveLength(1);
    const endless = await start(({ json }) => json(429, {}, { 'retry-after': '1' }));
    await expect(endless.passing(endless.cluster.get(reference), 500)).rejects.toMatchObject({ reason: 'Throttled' });
    expect(endless.server.requests).toHaveLength(4);
  });

  it('gives up a call without an answer after 15 s', async () => {
    const { cluster, clock, passing } = await start(() => undefined);
    const startedMs = clock.now();
    await expect(passing(cluster.get(reference), 1_000)).rejects.toMatchObject({
      reason: 'Unavailable',
      message: 'get Secret a/s: no answer in time',
    });
    expect(clock.now() - startedMs).toBe(15_000);
  });

  it('gives up a body that does not end after 15 s', async () => {
    const { cluster, passing } = await start(({ response }) => void response.writeHead(200).write('{"half":'));
    await expect(passing(cluster.get(reference), 1_000)).rejects.toThrow('no answer in time');
  });

  it('sends a read once more on a dead connection, and never a write', async () => {
    let reads = 0;
    const { cluster, server } = await start(({ method, json, reset }) => {
      if (method === 'GET' && ++reads > 1) json(200, found);
      else reset();
    });
    expect(await cluster.get(reference)).toMatchObject({ kind: 'Secret' });
    await expect(cluster.replace(secret)).rejects.toMatchObject({ reason: 'Unavailable' });
    await expect(cluster.create(secret)).rejects.toMatchObject({ reason: 'Unavailable' });
    expect(server.requests.map((line) => line.split(' ')[0])).toEqual(['GET', 'GET', 'PUT', 'POST']);
  });

  it('never quotes an answer about a Secret, and only the message of others', async () => {
    const message = 'Secret "s" is invalid: data: Invalid value: "c2VjcmV0"';
    const status = { kind: 'Status', reason: 'Invalid', message, code: 422 };
    const { cluster } = await start(({ json }) => json(422, status, { 'x-hidden': 'c2VjcmV0' }));
    const failure = await cluster.create(secret).catch((error: unknown) => error);
    expect(String(failure)).toBe('ClusterError: create Secret a/s: 422 Invalid');
    expect(JSON.stringify(failure)).not.toContain('c2VjcmV0');
    const key = { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata: { name: 'k', namespace: 'a' } };
    await expect(cluster.create(key)).rejects.toThrow('create VirtualKey a/k: 422 Invalid: Secret "s" is invalid');
  });

  it('knows why a create found no place', async () => {
    const causes = [{ reason: 'NamespaceTerminating' }];
    const { cluster } = await start(({ json }) => json(403, { kind: 'Status', reason: 'Forbidden', details: { causes } }));
    expect(await cluster.create(secret)).toEqual({ outcome: 'gone' });
  });

  it('reads a token file anew: by time, and at once when the token is refused', async () => {
    let tokenPath = '';
    let accepted = 'first';
    const used: (string | undefined)[] = [];
    const { cluster, clock } = await start(
      ({ request, json }) => {
        used.push(request.headers.authorization);
        const good = request.headers.authorization === `Bearer ${accepted}`;
        json(good ? 200 : 401, good ? found : { kind: 'Status', reason: 'Unauthorized' });
      },
      (directory) => {
        tokenPath = join(directory, 'token');
        writeFileSync(tokenPath, 'first\n');
        return { tokenFile: join('..', basename(directory), 'token') };
      },
    );
    await cluster.get(reference);
    writeFileSync(tokenPath, 'second');
    await cluster.get(reference);
    clock.advance(31_000);
    accepted = 'second';
    await cluster.get(reference);
    writeFileSync(tokenPath, 'third');
    accepted = 'third';
    await cluster.get(reference);
    accepted = 'nobody';
    await expect(cluster.get(reference)).rejects.toMatchObject({ reason: 'Unauthorized' });
    expect(used).toEqual(['first', 'first', 'second', 'second', 'third', 'third'].map((token) => `Bearer ${token}`));
  });

  it('asks an exec plugin for a token, once while it is good', async () => {
    const status = { token: 'from-plugin', expirationTimestamp: '2100-01-01T00:00:00Z' };
    const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status };
    let counted = '';
    const used: (string | undefined)[] = [];
    const { cluster, clock } = await start(
      ({ request, json }) => {
        used.push(request.headers.authorization);
        json(200, found);
      },
      (directory) => {
        counted = join(directory, 'runs');
        writeFileSync(counted, '');
        const script = `echo run >> '${counted}'; echo '${JSON.stringify(credential)}'`;
        return { exec: { apiVersion: credential.apiVersion, command: '/bin/sh', args: ['-c', script] } };
      },
    );
    await cluster.get(reference);
    clock.advance(31_000);
    await cluster.get(reference);
    expect(used).toEqual(['Bearer from-plugin', 'Bearer from-plugin']);
    expect(readFileSync(counted, 'utf8')).toBe('run\n');
  });

  it('says nothing of what a failing exec plugin printed', async () => {
    const { cluster } = await start(
      ({ json }) => json(200, found),
      () => ({ exec: { command: '/bin/sh', args: ['-c', 'echo token-in-words >&2; exit 1'] } }),
    );
    const failure = await cluster.get(reference).catch((error: unknown) => error);
    expect(failure).toMatchObject({ reason: 'Unavailable' });
    expect(String(failure)).not.toContain('token-in-words');
  });

  it('sends no write that has waited for longer than we lead, neither at first nor once more', async () => {
    let leads = true;
    const { cluster, server, clock, until } = await start(
      ({ path, json }) => (path.endsWith('/events') ? json(201, {}) : json(429, {}, { 'retry-after': '20' })),
      undefined,
      () => leads,
    );
    const refused = cluster.replace(secret).catch((error: unknown) => error);
    await until(() => server.requests.length === 1);
    for (let turn = 0; turn < 20; turn += 1) await tick();
    leads = false;
    clock.advance(25_000);
    expect(String(await refused)).toBe('ClusterError: update Secret a/s: this process does not lead any more');
    await expect(cluster.create(secret)).rejects.toThrow('does not lead any more');
    await expect(cluster.patchStatus(secret, { phase: 'Active' })).rejects.toThrow('does not lead any more');
    await expect(cluster.remove(reference)).rejects.toThrow('does not lead any more');
    expect(server.requests.map((line) => line.split(' ')[0])).toEqual(['PUT']);
    // The lease itself is how it may lead again, and reading is always allowed.
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'l', namespace: 'a' } };
    await expect(cluster.create(lease)).rejects.toMatchObject({ reason: 'Throttled' });
    expect(server.requests).toHaveLength(2);
    // What was recorded while it led may still be told.
    cluster.recordEvent({ regarding: secret, type: 'Normal', reason: 'KeyIssued', message: 'm' });
    await until(() => server.requests.length === 3);
  });

  it('ends everything with close', async () => {
    const { cluster, until, server } = await start(() => undefined);
    const pending = cluster.get(reference);
    const failure = pending.catch((error: unknown) => error);
    await until(() => server.requests.length === 1);
    await cluster.close();
    expect(await failure).toMatchObject({ reason: 'Unavailable' });
    await expect(cluster.get(reference)).rejects.toThrow('the client is closed');
  });
});

describe('event recorder', () => {
  const inNamespace = (namespace: string, name: string) => ({ ...regarding(name), metadata: { name, namespace } });
  const regarding = (name: string) => ({ apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata: { name, namespace: 'a' } });

  it('is bounded in rate, loses nothing of a short burst, and counts repeats', async () => {
    const bodies: { count: number; reason: string }[] = [];
    const { cluster, clock } = await start(async ({ request, json }) => {
      let text = '';
      for await (const chunk of request) text += String(chunk);
      bodies.push(JSON.parse(text) as { count: number; reason: string });
      json(201, {});
    });
    for (let index = 0; index < 40; index += 1)
      cluster.recordEvent({ regarding: regarding(`k${index}`), type: 'Normal', reason: 'KeyIssued', message: 'm' });
    for (let index = 0; index < 9; index += 1)
      cluster.recordEvent({ regarding: regarding('k0'), type: 'Normal', reason: 'KeyIssued', message: 'm' });
    await expect.poll(() => bodies.length).toBe(25);
    for (let turn = 0; turn < 50; turn += 1) await tick();
    expect(bodies).toHaveLength(25);
    expect(bodies[0]).toMatchObject({ count: 10, reason: 'KeyIssued' });
    await expect
      .poll(() => {
        clock.advance(200);
        return bodies.length;
      })
      .toBe(40);
  });

  it('writes an Event anew that the API server has forgotten, and one that is too old', async () => {
    const seen: string[] = [];
    const { cluster, clock, until } = await start(({ method, json }) => {
      seen.push(method);
      json(method === 'PATCH' ? 404 : 201, {});
    });
    const record = () => cluster.recordEvent({ regarding: regarding('k'), type: 'Warning', reason: 'WeakKey', message: 'm' });
    record();
    await until(() => seen.length === 1);
    for (let turn = 0; turn < 20; turn += 1) await tick();
    clock.advance(60_000);
    record();
    await until(() => seen.length === 3);
    for (let turn = 0; turn < 20; turn += 1) await tick();
    clock.advance(11 * 60_000);
    record();
    await until(() => seen.length === 4);
    expect(seen).toEqual(['POST', 'PATCH', 'POST', 'POST']);
  });

  it('lets namespaces take turns, and none fill the room of the others', async () => {
    const seen: string[] = [];
    const { cluster, clock, registry, until } = await start(async ({ path, json }) => {
      seen.push(path.split('/')[4] ?? '');
      json(201, {});
    });
    for (let index = 0; index < 2_000; index += 1)
      cluster.recordEvent({ regarding: inNamespace('crowd', `k${index}`), type: 'Warning', reason: 'WeakKey', message: 'm' });
    cluster.recordEvent({ regarding: inNamespace('quiet', 'k'), type: 'Warning', reason: 'WeakKey', message: 'm' });
    await until(() => seen.length === 25);
    expect(seen.indexOf('quiet')).toBe(1);
    expect(await registry.metrics()).toContain(`keywright_events_dropped_total ${2_000 - 256}`);
    clock.advance(1_000);
  });

  it('writes an Event that goes on repeating ever more seldom, and loses no count', async () => {
    const counts: { atMs: number; count: number }[] = [];
    const { cluster, clock } = await start(async ({ request, json }) => {
      let text = '';
      for await (const chunk of request) text += String(chunk);
      counts.push({ atMs: clock.now(), count: (JSON.parse(text) as { count: number }).count });
      json(201, {});
    });
    const startMs = clock.now();
    for (let second = 0; second < 600; second += 1) {
      cluster.recordEvent({ regarding: regarding('k'), type: 'Warning', reason: 'WeakKey', message: `no ${second}` });
      for (let turn = 0; turn < 4; turn += 1) await tick();
      clock.advance(1_000);
      await expect.poll(() => counts.length > 0, { interval: 1 }).toBe(true);
    }
    await expect.poll(() => counts.length, { interval: 1 }).toBeGreaterThan(5);
    expect(counts.length).toBeLessThanOrEqual(11);
    expect((counts.at(-1)?.atMs ?? 0) - startMs).toBeGreaterThan(400_000);
    clock.advance(300_000);
    await expect.poll(() => counts.at(-1)?.count, { interval: 1 }).toBe(600);
  });

  it.each([403, 404, 409])('takes a %i for an Event that is lost, and goes on with the next', async (code) => {
    const seen: string[] = [];
    const { cluster, registry, until } = await start(({ path, json }) => {
      seen.push(path);
      json(seen.length === 1 ? code : 201, { kind: 'Status', code, message: 'exceeded quota: pods' });
    });
    cluster.recordEvent({ regarding: regarding('first'), type: 'Warning', reason: 'WeakKey', message: 'm' });
    cluster.recordEvent({ regarding: regarding('second'), type: 'Warning', reason: 'WeakKey', message: 'm' });
    await until(() => seen.length === 2);
    await expect.poll(() => registry.metrics()).toContain('keywright_events_dropped_total 1');
  });

  it('keeps nobody waiting while the API server says nothing, and ends within its time', async () => {
    const { cluster, clock, server, until } = await start(() => undefined);
    for (let index = 0; index < 100; index += 1)
      cluster.recordEvent({ regarding: regarding(`k${index}`), type: 'Normal', reason: 'KeyIssued', message: 'm' });
    await until(() => server.requests.length === 1);
    const closed = cluster.close();
    await tick();
    clock.advance(2_000);
    await closed;
    expect(server.requests).toHaveLength(1);
  });

  it('counts what could not be written and never throws', async () => {
    const { cluster, registry } = await start(({ json }) => json(500, {}));
    cluster.recordEvent({ regarding: regarding('k'), type: 'Warning', reason: 'WeakKey', message: 'm' });
    await expect.poll(() => registry.metrics()).toContain('keywright_events_dropped_total 1');
  });
});
