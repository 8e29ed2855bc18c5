import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { type CompiledKey, compileKey } from '../../core/authorize.ts';
import { Secret } from '../../core/secret.ts';
import type { ChannelRecord, KeyRecord } from '../../core/snapshot.ts';
import { makeAddressCheck } from '../../proxy/keys/address-range.ts';
import type { Admission, AdmitAnswer, Counters, Settlement } from '../../proxy/counters/counters.ts';
import { makeMemoryCounters } from '../../proxy/counters/memory.ts';
import type { KeyIndex } from '../../proxy/parts.ts';
import { makeRevocations, type Revocations } from '../../proxy/keys/revocations.ts';
import type { StoredObjects } from '../../proxy/stored-objects/stored-objects.ts';
import { type Proxy, type ServerSettings, startProxy } from '../../proxy/server.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeMetrics, type Metrics } from '../../runtime/metrics.ts';

/** Keys and credentials of the tests: texts that no output may hold. */
export const keyText = 'sk-kw-0123456789abcdefghijklmnopqrstuvwxyz';
export const providerText = 'sk-provider-0f9e8d7c6b5a';

export interface UpstreamRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface TestUpstream {
  readonly url: string;
  readonly requests: UpstreamRequest[];
  /** connections that clients closed before their answer was complete */
  aborted: number;
  close(): Promise<void>;
}

export type UpstreamHandler = (request: UpstreamRequest, response: ServerResponse, number: number) => void;

/** A provider on a real socket; the body is read before `answer` is called. */
export async function startUpstream(answer: UpstreamHandler): Promise<TestUpstream> {
  const requests: UpstreamRequest[] = [];
  const server = createServer((request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) upstream.aborted += 1;
    });
    void readAll(request).then((body) => {
      const { method = '', url = '', headers, rawHeaders } = request;
      const seen = { method, url, headers, rawHeaders, body };
      requests.push(seen);
      answer(seen, response, requests.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const upstream: TestUpstream = {
    url: `http://127.0.0.1:${port}`,
    requests,
    aborted: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return upstream;
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    // the client went away; the answer will find out
  }
  return Buffer.concat(chunks).toString();
}

export function makeKeyRecord(changes: Partial<KeyRecord> = {}): KeyRecord {
  const credential = { id: '000000000001', hash: sha256Hex(keyText), prefix: 'sk-kw-0123', state: 'Active' } as const;
  return { id: 'default/app', uid: 'u1', generation: 1, gen: 0, state: 'Active', credentials: [credential], access: {}, ...changes };
}

export function makeChannelRecord(baseUrl: string, changes: Partial<ChannelRecord> = {}): ChannelRecord {
  return {
    id: 'default/openai',
    uid: 'c1',
    generation: 1,
    provider: 'OpenAI',
    baseUrl,
    credentials: [{ name: 'main', weight: 1, secret: new Secret(providerText) }],
    authHeader: 'Authorization',
    authScheme: 'Bearer',
    priority: 0,
    weight: 1,
    namespaces: 'All',
    timeouts: { connectMs: 2000, firstByteMs: 5000, idleMs: 5000, totalMs: 30_000 },
    retries: { attempts: 1, on: ['ConnectFailure', 'Reset', 'RateLimited', 'ServerError'] },
    headers: {},
    tls: {},
    ...changes,
  };
}

export interface TestIndex extends KeyIndex {
  keys: readonly CompiledKey[];
  channels: readonly ChannelRecord[];
  ready: boolean;
  disconnected: number;
  /** tells the proxy that a key has ended, as a snapshot would */
  end(keyId: string, reason: 'revoked' | 'deleted', credentialId?: string): void;
}

export function makeTestIndex(keys: readonly KeyRecord[], channels: readonly ChannelRecord[]): TestIndex {
  const listeners = new Set<Parameters<KeyIndex['onEnded']>[0]>();
  return {
    keys: keys.map((record) => compileKey(record, makeAddressCheck(record.access.cidrs))),
    channels,
    ready: true,
    disconnected: 0,
    find(hash) {
      for (const key of this.keys) {
        const credential = key.record.credentials.find((candidate) => candidate.hash === hash);
        if (credential !== undefined) return { key, credential };
      }
      return undefined;
    },
    channelsFor() {
      return this.channels;
    },
    missing() {
      return this.ready ? [] : ['snapshot'];
    },
    disconnectedMs() {
      return this.disconnected;
    },
    onEnded(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    end(keyId, reason, credentialId) {
      for (const listener of listeners) listener(keyId, reason, credentialId);
    },
  };
}

/** Real counters that also remember what they were told. */
export interface RecordingCounters extends Counters {
  readonly admissions: Admission[];
  readonly settlements: Settlement[];
  readonly renewals: { requestId: string; tokens: number; costNanoUsd: number }[];
  /** answers instead of the real counters when set */
  answer: (() => Promise<AdmitAnswer>) | undefined;
}

function makeRecordingCounters(now: () => number): RecordingCounters {
  const real = makeMemoryCounters({ now, random: () => 0 });
  return {
    admissions: [],
    settlements: [],
    renewals: [],
    answer: undefined,
    async admit(admission) {
      const answer = await (this.answer === undefined ? real.admit(admission) : this.answer());
      if (answer.outcome === 'admitted') this.admissions.push(admission);
      return answer;
    },
    peek: (question) => real.peek(question),
    settle(settlement) {
      this.settlements.push(settlement);
      real.settle(settlement);
    },
    renew(admission, tokens, costNanoUsd = 0) {
      this.renewals.push({ requestId: admission.requestId, tokens, costNanoUsd });
      real.renew(admission, tokens, costNanoUsd);
    },
    flush: () => real.flush(),
    close: () => real.close(),
  };
}

export interface TestProxy {
  readonly proxy: Proxy;
  readonly url: string;
  readonly port: number;
  readonly index: TestIndex;
  readonly revocations: Revocations;
  readonly counters: RecordingCounters;
  readonly metrics: Metrics;
  /** everything that was logged, as text */
  logText(): string;
  accessLines(): Record<string, unknown>[];
  stop(): Promise<void>;
}

export interface TestProxyOptions {
  readonly channels: readonly ChannelRecord[];
  readonly keys?: readonly KeyRecord[];
  readonly settings?: Partial<ServerSettings>;
  /** the clock of the counters, ms since 1970 */
  readonly now?: () => number;
  /** default: this proxy alone remembers them */
  readonly storedObjects?: StoredObjects;
  /** in [0, 1); default: always 0 */
  readonly random?: () => number;
  /** of everything else */
  readonly clock?: Clock;
}

export async function startTestProxy({
  channels,
  keys = [makeKeyRecord()],
  settings = {},
  now = Date.now,
  storedObjects,
  random = () => 0,
  clock = systemClock,
}: TestProxyOptions): Promise<TestProxy> {
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const index = makeTestIndex(keys, channels);
  const counters = makeRecordingCounters(now);
  const metrics = makeMetrics();
  const revocations = makeRevocations({
    now: Date.now,
    recordOf: (keyId) => index.keys.find(({ record }) => record.id === keyId)?.record,
    metrics,
  });
  const proxy = await startProxy({
    settings: {
      listen: { host: '127.0.0.1', port: 0 },
      maxBodyBytes: 1 << 20,
      maxBufferedBytes: 8 << 20,
      maxInFlight: 100,
      drainMs: 2000,
      trustedProxies: [],
      corsOrigins: [],
      maxKeySeries: 100,
      ...settings,
    },
    index,
    revocations,
    counters,
    log: makeLog({ level: 'debug', name: 'proxy', destination }),
    metrics,
    clock,
    random,
    storedObjects,
  });
  return {
    proxy,
    url: proxy.address,
    port: Number(new URL(proxy.address).port),
    index,
    revocations,
    counters,
    metrics,
    logText: () => lines.join(''),
    accessLines: () =>
      lines
        .join('')
        .split('\n')
        .filter((line) => line.includes('"event":"access"'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    async stop() {
      await proxy.drain();
      metrics.close();
    },
  };
}

/** A client that writes bytes as they are and collects what comes back. */
export interface RawClient {
  readonly socket: Socket;
  text(): string;
  /** resolves when the text so far satisfies the predicate, or rejects at the end of the connection */
  until(predicate: (text: string) => boolean): Promise<string>;
  closed: Promise<string>;
}

export function openRaw(port: number, bytes: string | Buffer): RawClient {
  let text = '';
  const waiting = new Set<() => void>();
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    for (const check of waiting) check();
  });
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => {
    socket.on('close', () => {
      resolve(text);
      for (const check of waiting) check();
    });
  });
  return {
    socket,
    text: () => text,
    closed,
    until: (predicate) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (predicate(text)) resolve(text);
          else if (socket.destroyed) reject(new Error(`the connection closed after ${JSON.stringify(text)}`));
          else return;
          waiting.delete(check);
        };
        waiting.add(check);
        check();
      }),
  };
}

export const chatBody = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] };
export const chatAnswer = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 },
};

export function answerJson(response: ServerResponse, value: unknown, status = 200, headers: Record<string, string> = {}): void {
  const body = JSON.stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers }).end(body);
}

export function postChat(url: string, body: unknown = chatBody, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyText}`, 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}
