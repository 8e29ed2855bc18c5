import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { makeLog } from '../../runtime/log.ts';
import { makeCertificate } from '../../test/support/certificate.ts';
import { makeTemporaryDirectory } from '../../test/support/child.ts';
import { makeFakeClock } from '../../test/support/fake-clock.ts';
import { freePort } from '../../test/support/free-port.ts';
import type { Exchange, ScriptedServer, ScriptedServerOptions } from '../../test/support/scripted-server.ts';
import { startScriptedServer } from '../../test/support/scripted-server.ts';
import { findKubeConfig } from './kube-config.ts';
import { makeKubernetesSource } from './kubernetes-source.ts';

type Answer = (exchange: Exchange) => void;

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const secret = (name: string, version: number, text = name) => ({
  metadata: { name, resourceVersion: String(version) },
  type: 'keywright.dev/snapshot',
  data: { document: Buffer.from(text).toString('base64') },
});
const list =
  (version: number, ...items: object[]): Answer =>
  ({ json }) =>
    json(200, { metadata: { resourceVersion: String(version) }, items });
const answers =
  (code: number, body: object, headers?: Record<string, string>): Answer =>
  ({ json }) =>
    json(code, body, headers);
const tells =
  (...lines: object[]): Answer =>
  ({ response, line }) => {
    response.writeHead(200).flushHeaders();
    for (const each of lines) line(each);
  };
const silent = tells();
const never: Answer = () => undefined;
const added = (name: string, version: number, text?: string) => ({ type: 'ADDED', object: secret(name, version, text) });
const bookmark = (version: number) => ({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(version) } } });
const expired = { kind: 'Status', code: 410, reason: 'Expired' };
const isWatch = (line: string) => line.includes('watch=1');

interface Setup {
  /** how the question is answered which version the server has */
  readonly version?: Answer;
  readonly server?: ScriptedServerOptions;
  readonly kubeconfig?: (server: ScriptedServer) => string;
}

/** The proxy's source against a server that answers lists and watches in the order given; the last answer of each for ever. */
async function follow(lists: Answer[], watches: Answer[], { server: options, kubeconfig, version = list(999_999_999) }: Setup = {}) {
  const clock = makeFakeClock();
  const asked: { verb: 'list' | 'watch'; from: string | null; atMs: number }[] = [];
  const server = await startScriptedServer((exchange) => {
    if (exchange.query.get('limit') === '1') return version(exchange);
    const watch = exchange.query.has('watch');
    asked.push({ verb: watch ? 'watch' : 'list', from: exchange.query.get('resourceVersion'), atMs: clock.now() });
    const script = watch ? watches : lists;
    (script.length > 1 ? script.shift() : script[0])?.(exchange);
  }, options);
  const found = findKubeConfig({ KUBECONFIG: kubeconfig?.(server) ?? server.kubeconfig() });
  if (!found.ok) throw new Error(found.mistake);
  const told: string[] = [];
  const logged: string[] = [];
  const source = makeKubernetesSource({
    connection: found.connection,
    namespace: 'keywright-snapshot',
    log: makeLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void logged.push(line) } }),
    clock,
    random: () => 0.5,
  });
  source.start({
    document: (name, bytes) => void told.push(`${name}=${Buffer.from(bytes).toString()}`),
    removed: (name) => void told.push(`-${name}`),
    synced: () => void told.push('synced'),
    connected: () => undefined,
  });
  ends.push(async () => {
    await source.stop();
    await server.stop();
    expect(clock.pending).toBe(0);
  });
  /** real time passes, and the clock with it, faster, until it holds */
  async function until(holds: () => boolean, stepMs = 20): Promise<void> {
    for (let turn = 0; turn < 4_000; turn += 1) {
      if (holds()) return;
      clock.advance(stepMs);
      await sleep(1);
    }
    throw new Error(`never came: told ${JSON.stringify(told)}; asked ${JSON.stringify(asked)}`);
  }
  const verbs = () => asked.map(({ verb, from }) => (verb === 'list' ? 'list' : `watch ${from}`));
  return { server, clock, asked, told, logged, until, verbs };
}

describe('a connection that breaks', () => {
  it.each([
    { how: 'is reset', end: ({ reset }: Exchange) => reset() },
    { how: 'ends in order', end: ({ response }: Exchange) => void response.end() },
  ])('in the middle of an event ($how): the next watch tells it, once', async ({ end }) => {
    const test = await follow(
      [list(1)],
      [
        (exchange) => {
          tells(added('a', 5))(exchange);
          exchange.response.write(JSON.stringify(added('b', 6)).slice(0, 50), () => end(exchange));
        },
        tells(added('b', 6), added('c', 7)),
      ],
    );
    await test.until(() => test.told.includes('c=c'));
    expect(test.told).toEqual(['synced', 'a=a', 'b=b', 'c=c']);
    expect(test.verbs()).toEqual(['list', 'watch 1', 'watch 5']);
  });

  it('in the middle of a page: nothing is removed, and the list begins again', async () => {
    const test = await follow(
      [
        list(10, secret('a', 1), secret('b', 2)),
        answers(200, { metadata: { resourceVersion: '20', continue: 'more' }, items: [secret('a', 1)] }),
        (exchange) => void exchange.response.writeHead(200).write('{"metadata":{', () => exchange.reset()),
        list(20, secret('a', 1), secret('b', 2)),
      ],
      [tells({ type: 'ERROR', object: expired }), silent],
    );
    await test.until(() => test.verbs().at(-1) === 'watch 20');
    expect(test.told).toEqual(['a=a', 'b=b', 'synced', 'synced']);
  });

  it('is never made: the port refuses at the start, and the server comes later', async () => {
    const port = await freePort();
    const test = await follow([never], [never], {
      kubeconfig: (server) => server.kubeconfig(undefined, { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true }),
    });
    await test.until(() => test.logged.filter((line) => line.includes('ECONNREFUSED')).length >= 1);
    const late = await startScriptedServer(
      ({ query, ...exchange }) => (query.has('watch') ? silent : list(1, secret('a', 1)))({ query, ...exchange }),
      {
        port,
      },
    );
    ends.push(() => late.stop());
    await test.until(() => test.told.length === 2);
    expect(test.told).toEqual(['a=a', 'synced']);
  });
});

describe('a server that says nothing, or something else', () => {
  it('is listed when it is silent twice from the same version: its history may be another one', async () => {
    const test = await follow([list(900, secret('a', 800, 'old')), list(50, secret('a', 40, 'restored'))], [silent]);
    for (const count of [2, 3]) {
      await test.until(() => test.asked.length === count);
      await sleep(20);
      test.clock.advance(120_000);
    }
    await test.until(() => test.verbs().at(-1) === 'watch 50');
    expect(test.verbs()).toEqual(['list', 'watch 900', 'watch 900', 'list', 'watch 50']);
    expect(test.told).toEqual(['a=old', 'synced', 'a=restored', 'synced']);
  });

  it.each([
    { how: 'was restored', version: 50, asked: ['list', 'watch 900', 'list', 'watch 50'] },
    { how: 'is as it was', version: 900, asked: ['list', 'watch 900', 'watch 900'] },
  ])('is asked for its version when a watch has broken off: a store that $how', async ({ version, asked }) => {
    const breaks: Answer = ({ response, reset }) => void response.writeHead(200).write('\n', () => reset());
    const test = await follow([list(900, secret('a', 800)), list(50, secret('a', 40))], [breaks, silent], { version: list(version) });
    await test.until(() => test.asked.length === asked.length);
    expect(test.verbs()).toEqual(asked);
  });

  it('is listed at once after a bookmark from before the beginning of the watch', async () => {
    const test = await follow([list(900, secret('a', 800, 'old')), list(50, secret('a', 40, 'restored'))], [tells(bookmark(45)), silent]);
    await test.until(() => test.asked.length === 4);
    expect(test.told).toEqual(['a=old', 'synced', 'a=restored', 'synced']);
  });

  it.each([
    { what: 'without a resource version', page: { metadata: {}, items: [] } },
    { what: 'with an item that is no object', page: { metadata: { resourceVersion: '20' }, items: [secret('a', 1), {}] } },
    { what: 'without items', page: { metadata: { resourceVersion: '20' } } },
  ])('a list $what is not believed', async ({ page }) => {
    const both = [secret('a', 1), secret('b', 2)];
    const test = await follow(
      [list(10, ...both), answers(200, page), list(30, ...both)],
      [tells({ type: 'ERROR', object: expired }), silent],
    );
    await test.until(() => test.verbs().at(-1) === 'watch 30');
    expect(test.told).toEqual(['a=a', 'b=b', 'synced', 'synced']);
  });

  it('an event of an unknown type is not passed over', async () => {
    const unknown = tells({ type: 'MUTATED', object: secret('a', 5) });
    const test = await follow([list(1), list(6, secret('a', 5))], [unknown, unknown, unknown, silent]);
    await test.until(() => test.told.includes('a=a'));
    expect(test.verbs().slice(0, 5)).toEqual(['list', 'watch 1', 'watch 1', 'watch 1', 'list']);
  });

  it('an event of half a megabyte, in many pieces, is one event', async () => {
    const text = 'ü'.repeat(250_000);
    const test = await follow([list(1)], [tells(added('big', 2, text), added('next', 3))]);
    await test.until(() => test.told.length === 3);
    expect(test.told.map((line) => line.length)).toEqual([6, 4 + text.length, 9]);
  });
});

describe('a server that asks for time, or would have us come back again and again', () => {
  it('is given the time that a Status within a watch asks for', async () => {
    const throttled = { kind: 'Status', code: 429, reason: 'TooManyRequests', details: { retryAfterSeconds: 9 } };
    const test = await follow([list(1)], [tells({ type: 'ERROR', object: throttled }), silent]);
    await test.until(() => test.asked.length === 3);
    expect((test.asked[2]?.atMs ?? 0) - (test.asked[1]?.atMs ?? 0)).toBeGreaterThanOrEqual(9_000);
  });

  it('ends each watch after an event: the second time we take our time', async () => {
    let version = 1;
    const test = await follow(
      [list(1)],
      [
        (exchange) => {
          version += 1;
          tells(added('a', version))(exchange);
          exchange.response.end();
        },
      ],
    );
    await test.until(() => test.asked.length >= 7);
    const watches = test.asked.filter(({ verb }) => verb === 'watch');
    expect((watches.at(-1)?.atMs ?? 0) - (watches[0]?.atMs ?? 0)).toBeGreaterThanOrEqual(3 * 800);
  });

  it('says that each version has expired, even after an event: a few lists at once, then ever more seldom', async () => {
    const test = await follow([list(1)], [tells(added('a', 2), { type: 'ERROR', object: expired })]);
    await test.until(() => test.asked.filter(({ verb }) => verb === 'list').length === 6);
    const lists = test.asked.filter(({ verb }) => verb === 'list').map(({ atMs }) => atMs);
    expect((lists[5] ?? 0) - (lists[2] ?? 0)).toBeGreaterThanOrEqual(3 * 800);
  });
});

describe('credentials and certificates that change', () => {
  it('a token is read for each call', async () => {
    const tokenPath = join(makeTemporaryDirectory('token'), 'token');
    writeFileSync(tokenPath, 'first');
    let accepted = 'first';
    const guarded =
      (answer: Answer): Answer =>
      (exchange) =>
        exchange.request.headers.authorization === `Bearer ${accepted}` ? answer(exchange) : exchange.json(401, {});
    const speaking: Answer = (exchange) => {
      tells(added('a', 2))(exchange);
      writeFileSync(tokenPath, 'second');
      accepted = 'second';
      exchange.response.end();
    };
    const test = await follow([guarded(list(1))], [guarded(speaking), guarded(tells(added('b', 3)))], {
      kubeconfig: (server) => server.kubeconfig({ tokenFile: tokenPath }),
    });
    await test.until(() => test.told.includes('b=b'));
    expect(test.verbs()).toEqual(['list', 'watch 1', 'watch 2']);
  });

  it('the certificate of the API server is changed: it is trusted as soon as its authority is in the file', async () => {
    const [before, after] = await Promise.all([makeCertificate('before'), makeCertificate('after')]);
    const authority = join(makeTemporaryDirectory('authority'), 'ca.crt');
    writeFileSync(authority, before.certificate);
    const test = await follow([list(1)], [silent, tells(added('a', 2))], {
      server: { certificate: before },
      kubeconfig: (server) => server.kubeconfig(undefined, { 'certificate-authority': authority }),
    });
    await test.until(() => test.server.requests.some(isWatch));
    test.server.changeCertificate(after);
    await test.until(() => test.logged.filter((line) => line.includes('certificate')).length >= 1);
    expect(test.told).toEqual(['synced']);
    writeFileSync(authority, after.certificate);
    await test.until(() => test.told.includes('a=a'));
  });
});
