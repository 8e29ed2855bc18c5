import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseRevocationMessage, type Revocation, revocationChannel } from '../../core/revocation.ts';
import type { CredentialRecord } from '../../operator/credentials/hashed-secret.ts';
import { hide } from '../../runtime/environment.ts';
import { makeLog } from '../../runtime/log.ts';
import { makeRedisLink, type RedisLink } from '../../runtime/redis-link.ts';
import { type ApiClient, makeApiClient } from '../prove/api-client.ts';
import { eventually, untilHolds } from '../support/eventually.ts';
import {
  channelManifests,
  type Installation,
  otherClient,
  type RunningProcess,
  startInstallation,
  untilStatus,
  virtualKey,
} from './installation.ts';

let installation: Installation;
let api: ApiClient;
let link: RedisLink;
/** all that was told through Redis, in order */
const told: Revocation[] = [];

beforeAll(async () => {
  installation = await startInstallation({
    proxies: 3,
    behaviour: ({ body }) => (body.includes('slowly') ? { chunks: 2_000, chunkDelayMs: 20 } : {}),
  });
  api = makeApiClient(installation.controlPlane, 8);
  link = makeRedisLink({
    url: hide(installation.redis.url),
    name: 'test',
    random: Math.random,
    log: makeLog({ level: 'error', name: 'test' }),
  });
  link.subscribe(revocationChannel, (message) => {
    const revocation = parseRevocationMessage(message);
    if (revocation !== undefined) told.push(revocation);
  });
  await eventually(() => link.connected);
  await installation.apply(channelManifests(installation.provider));
});
afterAll(async () => {
  await link?.close();
  await api?.close();
  await installation?.stop();
});

interface Answer {
  readonly status: number;
  readonly code: unknown;
}

/** With limits Redis is asked at each admission, without them only what the proxy was told counts. */
const limited = 'limits: { rpm: 1000000 }';
const bySpec = { spec: { rotation: { trigger: '2', overlap: '0s' } } };
const byAnnotation = { metadata: { annotations: { 'keywright.dev/rotate': 'leaked;overlap=0s' } } };

it.each([
  { name: 'annotated', spec: '{}', patch: byAnnotation },
  { name: 'annotated-limited', spec: `{ ${limited} }`, patch: byAnnotation },
  { name: 'triggered', spec: '{ rotation: { trigger: "1", overlap: 0s } }', patch: bySpec },
  { name: 'triggered-limited', spec: `{ ${limited}, rotation: { trigger: "1", overlap: 0s } }`, patch: bySpec },
])(
  '$name: the new key is never refused, the old one and its streams end everywhere',
  async ({ name, spec, patch }) => {
    const { proxies } = installation;
    await installation.apply(virtualKey(name, spec));
    const old = await installation.deliveredKey(name);
    for (const proxy of proxies) await untilStatus(proxy, old, 200);
    const oldStreams = await Promise.all(proxies.map((proxy) => openStream(proxy, old)));
    const ends = oldStreams.map((stream) => readEnd(stream));

    await api.patch(`/apis/keywright.dev/v1alpha1/namespaces/default/virtualkeys/${name}`, patch);
    const next = await untilAnother(name, old);
    let over = false;
    const answersOfNext = Promise.all(proxies.map((proxy) => callUntil(proxy, next, () => over)));
    const newStreams = Promise.all(proxies.map((proxy) => openStream(proxy, next)));
    const refusals = await Promise.all(proxies.map((proxy) => untilRefused(proxy, old)));
    const endings = await Promise.all(ends);
    const { rotatedAt, gen, uid } = await readRecord(name);
    const lateMs = Math.max(...refusals.map(({ atMs }) => atMs)) - (rotatedAt ?? Number.NaN);
    process.stdout.write(`rotation at once: ${JSON.stringify({ name, lateMs })}\n`);

    expect(gen).toBe(2);
    // the old credential, and nothing else of the key
    const wanted = {
      keyId: `default/${name}`,
      uid,
      gen: expect.any(Number),
      state: 'Active',
      ended: [expect.stringMatching(/^[0-9a-f]{12}$/)],
    };
    await untilHolds(() => expect(told.filter(({ keyId }) => keyId === wanted.keyId)).toEqual([wanted]));
    for (const { status, code } of refusals) {
      expect(status).toBe(401);
      expect(['invalid_api_key', 'key_expired']).toContain(code);
    }
    for (const text of endings) expect(text).toContain('"code":"key_revoked"');
    // until well after the shard has come, which takes over from what Redis has told
    await sleep(500);
    for (const proxy of proxies) expect((await call(proxy, old)).status).toBe(401);
    over = true;
    const answers = (await answersOfNext).flat();
    expect(answers.length).toBeGreaterThan(proxies.length);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    for (const stream of await newStreams) expect(await isOpen(stream)).toBe(true);
  },
  180_000,
);

async function call(proxy: RunningProcess, key: string): Promise<Answer> {
  const answer = await fetch(`${proxy.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...otherClient() },
    body: '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}',
  });
  const { error } = (await answer.json()) as { error?: { code?: unknown } };
  return { status: answer.status, code: error?.code };
}

async function callUntil(proxy: RunningProcess, key: string, isOver: () => boolean): Promise<Answer[]> {
  const answers: Answer[] = [];
  do {
    answers.push(await call(proxy, key));
    await sleep(5);
  } while (!isOver());
  return answers;
}

/** A call that was under way when the key ended is told key_revoked, as a stream is; the next one must be refused at the door. */
async function untilRefused(proxy: RunningProcess, key: string): Promise<Answer & { readonly atMs: number }> {
  return eventually(
    async () => {
      const answer = await call(proxy, key);
      const wasUnderWay = answer.status === 403 && answer.code === 'key_revoked';
      return answer.status === 200 || wasUnderWay ? undefined : { ...answer, atMs: Date.now() };
    },
    { withinMs: 60_000, everyMs: 5 },
  );
}

interface Stream {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
}

async function openStream(proxy: RunningProcess, key: string): Promise<Stream> {
  const answer = await fetch(`${proxy.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...otherClient() },
    body: '{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"slowly"}]}',
  });
  expect(answer.status).toBe(200);
  if (answer.body === null) throw new Error('a stream without a body');
  return { reader: answer.body.getReader() };
}

/** All that comes until it ends by itself. */
async function readEnd({ reader }: Stream): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for (let piece = await reader.read(); !piece.done; piece = await reader.read())
    text = `${text}${decoder.decode(piece.value, { stream: true })}`.slice(-1_000);
  return text;
}

/** Goes on: what had come so far holds no error, and more comes. */
async function isOpen({ reader }: Stream): Promise<boolean> {
  const decoder = new TextDecoder();
  const sinceMs = Date.now();
  let text = '';
  for (let pieces = 0; pieces < 5 || Date.now() - sinceMs < 100; pieces += 1) {
    const { value, done } = await reader.read();
    if (done) return false;
    text += decoder.decode(value, { stream: true });
  }
  await reader.cancel();
  return !text.includes('"error"');
}

/** The key in the delivery Secret as soon as it is another one. */
async function untilAnother(name: string, old: string): Promise<string> {
  return eventually(
    async () => {
      const { data } = await api.get<{ data: { apiKey?: string } }>(`/api/v1/namespaces/default/secrets/${name}-virtualkey`);
      const key = Buffer.from(data.apiKey ?? '', 'base64').toString();
      return key === old ? undefined : key;
    },
    { withinMs: 60_000, everyMs: 5 },
  );
}

async function readRecord(name: string): Promise<CredentialRecord> {
  return eventually(async () => {
    const path = '/api/v1/namespaces/keywright-system/secrets?labelSelector=keywright.dev/credential-record%3Dtrue';
    const { items } = await api.get<{ items: { data?: { record?: string } }[] }>(path);
    const records = items.map(({ data }) => JSON.parse(Buffer.from(data?.record ?? 'e30=', 'base64').toString()) as CredentialRecord);
    return records.find(({ keyId, rotatedAt }) => keyId === `default/${name}` && rotatedAt !== undefined);
  });
}
