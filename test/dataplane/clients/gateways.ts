import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { sha256Hex } from '../../../runtime/digest.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { makeChannelRecord, makeKeyRecord } from '../../support/records.ts';
import { startTestProxy, type TestProxy } from '../../support/test-proxy.ts';
import { untilHolds } from '../../support/eventually.ts';
import { freePort } from '../../support/free-port.ts';
import type { LogLine } from '../../support/process.ts';
import { startRedis } from '../../support/redis.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { textOf, toManifests, toRevocableKey } from './keys.ts';
import type { ReplayingProvider } from './provider.ts';
import { type GatewayName, tiresomeNetwork } from './refusal-cases.ts';

export interface Gateways {
  address(name: GatewayName): string;
  /** the usual gateway behind something that counts connections, for requests of which it writes no line */
  readonly tapped: string;
  /** what the gateways wrote about the requests of a client address */
  linesOf(clientAddress: string): readonly LogLine[];
  connectionsOf(clientAddress: string): number;
  /** revokes the key whose streams hang */
  end(): void;
  stop(): Promise<void>;
}

/** Each case comes from an address of its own, which the gateways believe. */
const trusting = { KEYWRIGHT_TRUSTED_PROXIES: '127.0.0.1', KEYWRIGHT_MAX_BODY_BYTES: '100000', KEYWRIGHT_DRAIN_SECONDS: '0' };
/** As many unknown keys as an address may try at once (attempt-limit.ts). */
const attempts = 20;

/** Three real processes over the same manifests, and three proxies of this process for what happens to no process at will: a bug, a start, a clock that stands. */
export async function startGateways(provider: ReplayingProvider): Promise<Gateways> {
  const deadUrl = `http://127.0.0.1:${await freePort()}`;
  const manifests = (): string => toManifests(provider, deadUrl);
  const redis = await startRedis();
  const [usual, full, withoutRedis] = await Promise.all([
    startGateway({ manifests, environment: trusting }),
    startGateway({ manifests, environment: { ...trusting, KEYWRIGHT_MAX_IN_FLIGHT: '1' } }),
    startGateway({ manifests, environment: { ...trusting, KEYWRIGHT_REDIS_FAILURE_POLICY: 'Closed' }, redisUrl: redis.url }),
  ]);
  await redis.kill();
  usual.write('ending.yaml', toRevocableKey('ending', false));
  await revoke(usual);
  const release = await fill(full);
  const [starting, broken, stopped] = await Promise.all([startStarting(), startBroken(), startStopped()]);
  const processes = { usual, full, withoutRedis };
  const proxies = { starting, broken, 'stopped clock': stopped };
  const tap = await startTap(Number(new URL(usual.address).port));
  return {
    address: (name) => (name in processes ? processes[name as keyof typeof processes].address : proxies[name as keyof typeof proxies].url),
    tapped: tap.url,
    linesOf(clientAddress) {
      const written = Object.values(processes).flatMap(({ process }) => process.lines);
      const lines = [...written, ...Object.values(proxies).flatMap((proxy) => proxy.accessLines())];
      return lines.filter((line) => line['event'] === 'access' && line['client_address'] === clientAddress);
    },
    connectionsOf: (clientAddress) => tap.connections.get(clientAddress) ?? 0,
    end: () => usual.write('ending.yaml', toRevocableKey('ending', true)),
    async stop() {
      release();
      await tap.close();
      await Promise.all([...Object.values(processes), ...Object.values(proxies)].map((each) => each.stop()));
      await redis.stop();
    },
  };
}

async function revoke(gateway: Gateway): Promise<void> {
  for (const [isRevoked, status] of [
    [false, 200],
    [true, 403],
  ] as const) {
    gateway.write('revoked.yaml', toRevocableKey('revoked', isRevoked));
    await untilHolds(async () => {
      if ((await listModels(gateway, 'revoked')) !== status) throw new Error('the manifest does not count yet');
    });
  }
}

/** Takes the one place of a gateway that takes one request at a time. */
async function fill(gateway: Gateway): Promise<() => void> {
  const holding = new AbortController();
  const ask = async (): Promise<number> => {
    const answer = fetch(`${gateway.address}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${textOf('holding')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }),
      signal: holding.signal,
    });
    return (await answer).status;
  };
  ask().catch(() => {});
  await untilHolds(async () => {
    if ((await listModels(gateway, 'open')) !== 503) throw new Error('the place is free');
  });
  return () => holding.abort();
}

async function listModels(gateway: Gateway, key: string): Promise<number> {
  const answer = await fetch(`${gateway.address}/v1/models`, { headers: { authorization: `Bearer ${textOf(key)}` } });
  await answer.text();
  return answer.status;
}

const settings = { trustedProxies: ['127.0.0.1'] };
const keys = [makeKeyRecord({ credentials: [{ id: '000000000001', hash: sha256Hex(textOf('open')), prefix: '', state: 'Active' }] })];

function startProxy(options: Partial<Parameters<typeof startTestProxy>[0]> = {}): Promise<TestProxy> {
  return startTestProxy({ channels: [makeChannelRecord('http://127.0.0.1:1')], keys, settings, ...options });
}

/** It has no snapshot yet. */
async function startStarting(): Promise<TestProxy> {
  const proxy = await startProxy({ keys: [] });
  proxy.index.ready = false;
  return proxy;
}

async function startBroken(): Promise<TestProxy> {
  const proxy = await startProxy();
  proxy.index.channelsFor = () => {
    throw new Error('a planted bug');
  };
  return proxy;
}

/** Its clock stands still, so that an address that has tried too many keys has done so for ever. */
async function startStopped(): Promise<TestProxy> {
  const nowMs = Date.now();
  const proxy = await startProxy({ clock: { ...systemClock, now: () => nowMs } });
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const answer = await fetch(`${proxy.url}/v1/models`, {
      headers: { authorization: `Bearer ${textOf('unknown')}`, 'x-forwarded-for': `${tiresomeNetwork}ffff` },
    });
    await answer.text();
  }
  return proxy;
}

interface Tap {
  readonly url: string;
  /** by the client address that the first request of each named */
  readonly connections: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/** Passes bytes on as they are. What is sent through it is refused with the end of the connection, so that connections are requests. */
async function startTap(port: number): Promise<Tap> {
  const connections = new Map<string, number>();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const gateway = connect(port, '127.0.0.1');
    let head = '';
    client.on('data', (chunk) => {
      if (head.includes('\r\n\r\n')) return;
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      const address = /\r\nx-forwarded-for: ([^\r]*)\r\n/i.exec(head)?.[1] ?? '';
      connections.set(address, (connections.get(address) ?? 0) + 1);
    });
    for (const [from, to] of [
      [client, gateway],
      [gateway, client],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => sockets.delete(from));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await Promise.race([closed, sleep(2000)]);
    },
  };
}
