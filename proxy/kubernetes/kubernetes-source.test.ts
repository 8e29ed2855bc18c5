import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import { makeLog } from '../../runtime/log.ts';
import { type FakeClock, makeFakeClock } from '../../test/support/fake-clock.ts';
import { makeKubernetesSource } from './kubernetes-source.ts';
import type { SnapshotSource } from '../snapshot/snapshot-source.ts';

type Step = (call: Call) => void;

interface Call {
  readonly verb: 'list' | 'watch';
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly atMs: number;
}

/** An API server that follows a script, call by call; after its end it lists what there is and holds watches open. */
class ScriptedServer {
  readonly calls: Call[] = [];
  readonly items = new Map<string, { version: string; text: string }>();
  readonly connections: Socket[] = [];
  script: Step[] = [];
  version = '100';
  readonly #server: Server;

  constructor(now: () => number) {
    this.#server = createServer((request, response) => {
      const query = new URL(request.url ?? '/', 'http://x').searchParams;
      // only which version there is: a history that has come further than any test
      if (query.get('limit') === '1') return void response.end(JSON.stringify({ metadata: { resourceVersion: '999999999' }, items: [] }));
      const call: Call = { verb: query.get('watch') === '1' ? 'watch' : 'list', query, request, response, atMs: now() };
      this.calls.push(call);
      (this.script.shift() ?? ((each) => this.serve(each)))(call);
    });
    this.#server.on('connection', (socket) => this.connections.push(socket));
  }

  async listen(port = 0): Promise<number> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  serve(call: Call): void {
    if (call.verb === 'watch') return void call.response.writeHead(200).flushHeaders();
    const items = [...this.items].map(([name, { version, text }]) => secret(name, version, text));
    call.response.end(JSON.stringify({ kind: 'SecretList', metadata: { resourceVersion: this.version }, items }));
  }

  get watch(): ServerResponse {
    const last = this.calls.findLast(({ verb }) => verb === 'watch');
    if (last === undefined) throw new Error('no watch yet');
    return last.response;
  }

  verbs(): string[] {
    return this.calls.map(({ verb }) => verb);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function secret(name: string, version: string, text: string): object {
  return {
    metadata: { name, resourceVersion: version },
    type: 'keywright.dev/snapshot',
    data: { document: Buffer.from(text).toString('base64') },
  };
}

function event(type: string, name: string, version: string, text = ''): string {
  return `${JSON.stringify({ type, object: secret(name, version, text) })}\n`;
}

function bookmark(version: string): string {
  return `${JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Secret', metadata: { resourceVersion: version } } })}\n`;
}

function status(code: number, headers: Record<string, string> = {}): Step {
  return ({ response }) =>
    response.writeHead(code, headers).end(JSON.stringify({ kind: 'Status', code, message: 'a message with t0ken-of-mine in it' }));
}

let clock: FakeClock;
let server: ScriptedServer;
let source: SnapshotSource;
let told: string[];
let logged: string[];
let port: number;

beforeEach(async () => {
  clock = makeFakeClock();
  server = new ScriptedServer(() => clock.now());
  port = await server.listen();
  told = [];
  logged = [];
  source = make();
});
afterEach(async () => {
  await source.stop();
  await server.close().catch(() => {});
  if (clock.pending > 0) throw new Error(`${clock.pending} timers are left behind`);
  if (logged.join('').includes('t0ken-of-mine')) throw new Error('the token is in the log');
});

function make(): SnapshotSource {
  return makeKubernetesSource({
    connection: { server: `http://127.0.0.1:${port}`, token: () => new Secret('t0ken-of-mine'), tls: () => ({ verify: true }) },
    namespace: 'keywright-snapshot',
    log: makeLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void logged.push(line) } }),
    clock,
    random: () => 0.5,
  });
}

function start(): void {
  source.start({
    document: (name, bytes) => void told.push(`${name}=${Buffer.from(bytes).toString()}`),
    removed: (name) => void told.push(`-${name}`),
    synced: () => void told.push('synced'),
    connected: (value) => void told.push(value ? 'connected' : 'disconnected'),
  });
}

/** Lets real time pass, and the clock much faster, until it holds. */
async function until(holds: () => boolean, what: string, stepMs = 20): Promise<void> {
  for (let turn = 0; turn < 4_000; turn += 1) {
    if (holds()) return;
    clock.advance(stepMs);
    await sleep(2);
  }
  throw new Error(`never came: ${what}; told ${JSON.stringify(told)}; calls ${server.verbs().join(' ')}`);
}

const untilTold = (text: string): Promise<void> => until(() => told.includes(text), text);
const untilCalls = (count: number): Promise<void> => until(() => server.calls.length >= count, `${count} calls`);

describe('in good order', () => {
  it('lists, then watches from there, with exactly the rights it has', async () => {
    server.items.set('a', { version: '7', text: 'one' });
    start();
    await untilTold('connected');
    expect(told).toEqual(['a=one', 'synced', 'connected']);
    const [list, watch] = server.calls;
    expect(list?.request.url).toBe('/api/v1/namespaces/keywright-snapshot/secrets?fieldSelector=type%3Dkeywright.dev%2Fsnapshot&limit=12');
    expect(list?.request.headers.authorization).toBe('Bearer t0ken-of-mine');
    expect(Object.fromEntries(watch?.query ?? [])).toEqual({
      fieldSelector: 'type=keywright.dev/snapshot',
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion: '100',
      timeoutSeconds: '300',
    });
    expect(server.connections.length).toBe(1);
  });

  it('reads pages, and starts over when they have expired in the middle', async () => {
    const page =
      (items: object[], next?: string): Step =>
      (call) =>
        void call.response.end(
          JSON.stringify({ metadata: { resourceVersion: '50', ...(next === undefined ? {} : { continue: next }) }, items }),
        );
    server.script = [
      page([secret('a', '1', 'one')], 'next-page'),
      status(410),
      page([secret('a', '1', 'one')], 'next-page'),
      page([secret('b', '2', 'two')]),
    ];
    start();
    await untilTold('connected');
    expect(told.filter((each) => each !== 'disconnected')).toEqual(['a=one', 'b=two', 'synced', 'connected']);
    expect(server.calls.map(({ query }) => query.get('continue'))).toEqual([null, 'next-page', null, 'next-page', null]);
  });

  it('takes changes wherever the bytes are cut, also inside a character', async () => {
    start();
    await untilTold('connected');
    const bytes = Buffer.from(
      event('ADDED', 'a', '101', 'ünïcödé 🔑').replace('"type":"ADDED"', '"note":"🔑é","type":"ADDED"') + event('DELETED', 'a', '102'),
    );
    for (let start = 0; start < bytes.length; start += 7) {
      server.watch.write(bytes.subarray(start, start + 7));
      await sleep(0);
    }
    await untilTold('-a');
    expect(told.slice(2)).toEqual(['a=ünïcödé 🔑', '-a']);
  });

  it('goes on from the last version, bookmarks included, when the server ends the watch', async () => {
    start();
    await untilTold('connected');
    server.watch.write(event('ADDED', 'a', '101', 'one') + bookmark('250'));
    await untilTold('a=one');
    server.watch.end();
    await untilCalls(3);
    expect(server.verbs()).toEqual(['list', 'watch', 'watch']);
    expect(server.calls[2]?.query.get('resourceVersion')).toBe('250');
    expect(told).not.toContain('disconnected');
  });

  it('tells repeated and old events once', async () => {
    server.items.set('a', { version: '99', text: 'nine' });
    start();
    await untilTold('connected');
    const events = [
      event('ADDED', 'a', '99', 'nine'),
      event('MODIFIED', 'a', '101', 'new'),
      event('MODIFIED', 'a', '101', 'new'),
      event('ADDED', 'a', '99', 'nine'),
    ];
    server.watch.write(
      [...events, event('DELETED', 'a', '98'), event('DELETED', 'gone', '102'), event('ADDED', 'z', '103', 'end')].join(''),
    );
    await untilTold('z=end');
    expect(told.slice(3)).toEqual(['a=new', 'z=end']);
  });

  it('lists again every half hour and finds what no event told', async () => {
    server.items.set('a', { version: '7', text: 'one' });
    server.items.set('b', { version: '8', text: 'two' });
    start();
    await untilTold('connected');
    server.items.delete('a');
    server.items.set('b', { version: '120', text: 'new' });
    for (let minute = 0; minute < 30; minute += 1) {
      server.watch.write(bookmark('110') + event('ADDED', `tick-${minute}`, '110'));
      await untilTold(`tick-${minute}=`);
      clock.advance(59_900);
    }
    expect(told.filter((each) => each === 'synced').length).toBe(1);
    await until(() => told.filter((each) => each === 'synced').length === 2, 'a second list', 50);
    expect(told.slice(4).filter((each) => !each.includes('tick'))).toEqual(['b=new', '-a', 'synced']);
    await until(() => server.verbs().join(' ') === 'list watch list watch', 'the next watch');
  });

  it('tells a document without its entry as an empty one, for the index to refuse', async () => {
    start();
    await untilTold('connected');
    server.watch.write(`${JSON.stringify({ type: 'ADDED', object: { metadata: { name: 'a', resourceVersion: '101' } } })}\n`);
    await untilTold('a=');
  });
});

describe('trouble', () => {
  it('watches on from the same version almost at once after a reset', async () => {
    start();
    await untilTold('connected');
    server.watch.write(event('ADDED', 'a', '101', 'one'));
    await untilTold('a=one');
    const resetAtMs = clock.now();
    server.watch.destroy();
    await untilCalls(3);
    expect(server.calls[2]).toMatchObject({ verb: 'watch' });
    expect(server.calls[2]?.query.get('resourceVersion')).toBe('101');
    expect((server.calls[2]?.atMs ?? 0) - resetAtMs).toBeLessThan(800);
    expect(told).toContain('disconnected');
    await until(() => told.at(-1) === 'connected', 'connected again');
  });

  it('drops a half-open watch after two minutes of silence, and none that sends bookmarks', async () => {
    start();
    await untilTold('connected');
    for (let round = 0; round < 4; round += 1) {
      clock.advance(110_000);
      server.watch.write(event('ADDED', `tick-${round}`, '150') + bookmark(`${200 + round}`));
      await untilTold(`tick-${round}=`);
    }
    expect(server.verbs()).toEqual(['list', 'watch']);
    clock.advance(120_000);
    await untilCalls(3);
    expect(server.calls[2]?.query.get('resourceVersion')).toBe('203');
    expect(logged.join('')).toContain('not even a bookmark');
  });

  it('gives up a list and a watch that nobody answers', async () => {
    server.script = [() => {}];
    start();
    await untilCalls(1);
    clock.advance(60_000);
    await untilTold('connected');
    expect(logged.join('')).toContain('the list took too long');
    server.script = [() => {}];
    server.watch.destroy();
    await untilCalls(4);
    clock.advance(30_000);
    await until(() => logged.join('').includes('did not answer the watch'), 'the time-out');
  });

  it('lists again at once when the version is gone, as an answer and as an event', async () => {
    start();
    await untilTold('connected');
    server.items.set('a', { version: '300', text: 'one' });
    server.watch.write(
      bookmark('150') +
        `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 't0ken-of-mine' } })}\n`,
    );
    await untilTold('a=one');
    await until(() => server.verbs().join(' ') === 'list watch list watch', 'list and watch');
    server.script = [status(410)];
    server.watch.end(bookmark('301'));
    await until(() => server.verbs().join(' ') === 'list watch list watch watch list watch', 'list and watch again');
    expect(told).not.toContain('disconnected');
  });

  it('waits as long as Retry-After says', async () => {
    server.script = [status(429, { 'retry-after': '7' }), status(503, { 'retry-after': new Date(clock.now() + 60_000).toUTCString() })];
    start();
    await until(() => told.includes('connected'), 'connected', 250);
    const [first, second, third] = server.calls.map(({ atMs }) => atMs);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(7_000);
    expect((third ?? 0) - (first ?? 0)).toBeGreaterThanOrEqual(59_000);
  });

  it('waits longer and longer, never more than 30 s, and comes back when the server does', async () => {
    server.script = Array.from({ length: 9 }, () => status(500));
    start();
    await until(() => told.includes('connected'), 'connected', 250);
    const waits = server.calls.slice(1, -1).map(({ atMs }, position) => atMs - (server.calls[position]?.atMs ?? 0));
    expect(waits[0]).toBeGreaterThanOrEqual(800);
    expect(waits[0]).toBeLessThan(2_500);
    expect(waits[8]).toBeGreaterThanOrEqual(10_000);
    expect(Math.max(...waits)).toBeLessThan(31_000);
    expect(told).toEqual(['disconnected', 'synced', 'connected']);
  });

  it('survives an API server that is away for long', async () => {
    server.items.set('a', { version: '7', text: 'one' });
    start();
    await untilTold('connected');
    await server.close();
    for (let round = 0; round < 100; round += 1) {
      clock.advance(10_000);
      await sleep(1);
    }
    expect(told).toContain('disconnected');
    expect(told).not.toContain('-a');
    server = new ScriptedServer(() => clock.now());
    server.items.set('a', { version: '5', text: 'restored' });
    await server.listen(port);
    await until(() => told.at(-1) === 'connected', 'connected again');
    expect(told).toContain('a=restored');
  });

  it('lists again when a watch fails again and again, and says what is not allowed', async () => {
    start();
    await untilTold('connected');
    server.script = [status(403), status(403), status(403)];
    server.watch.destroy();
    await until(() => server.verbs().filter((verb) => verb === 'list').length === 2, 'a second list');
    expect(logged.join('')).toContain('needs list and watch on secrets in namespace keywright-snapshot');
  });

  it('takes broken lines and bodies for failures', async () => {
    server.script = [
      ({ response }) => void response.end('{"kind":'),
      ({ response }) => void response.end('{"items":[{}],"metadata":{"resourceVersion":"1"}}'),
    ];
    start();
    await untilTold('connected');
    server.watch.write('{"type":"ADDED"\n');
    await until(() => told.at(-1) === 'disconnected', 'a failure');
    await until(() => told.at(-1) === 'connected', 'connected again');
    server.watch.end('{"type":"ADDED",');
    await until(() => told.filter((each) => each === 'disconnected').length === 3, 'another failure');
  });

  it('backs off from a server that ends each watch at once', async () => {
    server.script = [
      (call) => server.serve(call),
      ...Array.from(
        { length: 4 },
        (): Step =>
          ({ response }) =>
            void response.end(),
      ),
    ];
    start();
    await untilCalls(6);
    expect((server.calls[4]?.atMs ?? 0) - (server.calls[1]?.atMs ?? 0)).toBeGreaterThanOrEqual(2_400);
  });

  it('lets no failing sink end the watch', async () => {
    source.start({
      document: (name) => {
        if (name === 'a') throw new Error('a bug');
        told.push(name);
      },
      removed: () => {},
      synced: () => {},
      connected: (value) => void told.push(value ? 'connected' : 'disconnected'),
    });
    await untilTold('connected');
    server.watch.write(event('ADDED', 'a', '101') + event('ADDED', 'b', '102'));
    await untilTold('b');
    expect(told).not.toContain('disconnected');
  });

  it('stops in every state: before the first answer, while it waits, while it watches', async () => {
    server.script = [() => {}];
    start();
    await untilCalls(1);
    await source.stop();
    source = make();
    server.script = [status(500)];
    start();
    await until(() => told.includes('disconnected'), 'the failure');
    await source.stop();
    source = make();
    start();
    await untilTold('connected');
  });
});
