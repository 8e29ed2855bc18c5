import { setImmediate as tick } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { expect, onTestFinished } from 'vitest';
import type { ReflectedEvent, SecretObject } from '../../operator/cluster/cluster.ts';
import { makeKubernetesCluster } from '../../operator/cluster/kubernetes/kubernetes.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeFakeClock } from './fake-clock.ts';
import type { Exchange, ScriptedServer, ScriptedServerOptions } from './scripted-server.ts';
import { startScriptedServer } from './scripted-server.ts';

export const object = (name: string, version: number, changes: object = {}) => ({
  metadata: { name, namespace: 'a', uid: `uid-${name}`, resourceVersion: String(version) },
  ...changes,
});
export const list = (version: number, ...items: object[]) => ({
  kind: 'SecretList',
  metadata: { resourceVersion: String(version) },
  items,
});
export const bookmark = (version: number) => ({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(version) } } });
export const expired = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };

export type Answer = (exchange: Exchange) => void;

/** A history that has come further than any test. */
const farAhead: Answer = ({ json }) => json(200, list(999_999_999));

export interface ReflectSetup {
  /** how the question is answered which version the server has */
  readonly version?: Answer;
  readonly onEvent?: (event: ReflectedEvent<SecretObject>) => void;
  readonly server?: ScriptedServerOptions;
  readonly kubeconfig?: (server: ScriptedServer) => string;
}

/** A reflector against a server that answers lists and watches in the order given; the last answer of each is given for ever. */
export async function reflect(
  lists: Answer[],
  watches: Answer[],
  { onEvent, server: options, kubeconfig = (started) => started.kubeconfig(), version = farAhead }: ReflectSetup = {},
) {
  const server = await startScriptedServer((exchange) => {
    if (exchange.query.get('limit') === '1') return version(exchange);
    const script = exchange.query.has('watch') ? watches : lists;
    const answer = script.length > 1 ? script.shift() : script[0];
    answer?.(exchange);
  }, options);
  const clock = makeFakeClock();
  const logged: { msg: string; waitMs?: number }[] = [];
  const destination = { write: (line: string) => void logged.push(JSON.parse(line) as { msg: string }) };
  const log = makeLog({ level: 'info', name: 'test', destination });
  const registry = new Registry();
  const cluster = makeKubernetesCluster({ kubeconfigPath: kubeconfig(server), log, metrics: { registry }, clock, random: () => 0.5 });
  onTestFinished(async () => {
    await cluster.close();
    await server.stop();
  });
  const told: string[] = [];
  const reflector = cluster.reflect<SecretObject>({
    kind: 'Secret',
    onEvent: (event) => {
      told.push(toLine(event));
      onEvent?.(event);
    },
  });
  const until = (met: () => unknown) => expect.poll(met, { timeout: 45_000, interval: 2 }).toBeTruthy();
  const watched = () => server.requests.filter((line) => line.includes('watch=true'));
  return {
    server,
    clock,
    told,
    logged,
    reflector,
    until,
    watched,
    untilBookmarks: (count: number) =>
      until(async () => (await registry.metrics()).includes(`keywright_watch_events_total{kind="Secret",type="BOOKMARK"} ${count}\n`)),
    waits: () => logged.flatMap(({ waitMs }) => (waitMs === undefined ? [] : [waitMs])),
    /** waits for the nth interruption, then lets its back-off pass */
    async recover(nth: number) {
      await until(() => logged.filter(({ waitMs }) => waitMs !== undefined).length >= nth);
      const waitMs = logged.filter((line) => line.waitMs !== undefined)[nth - 1]?.waitMs ?? 0;
      await tick();
      clock.advance(waitMs);
    },
  };
}

function toLine(event: ReflectedEvent<SecretObject>): string {
  if (event.type === 'Synced') return 'Synced';
  const { name, resourceVersion } = event.object.metadata;
  return event.type === 'Applied' ? `+${name}@${resourceVersion}` : `-${name} ${event.seen ? 'seen' : 'missing'}`;
}

export const versionOf = (request: string | undefined) => new URL(`http://x${request?.split(' ')[1]}`).searchParams.get('resourceVersion');
/** a watch that is open and says nothing */
export const silent: Answer = ({ response }) => void response.writeHead(200).flushHeaders();
export const answers =
  (code: number, body: object): Answer =>
  ({ json }) =>
    json(code, body);
export const tells =
  (...lines: object[]): Answer =>
  ({ response, line }) => {
    response.writeHead(200).flushHeaders();
    for (const each of lines) line(each);
  };
