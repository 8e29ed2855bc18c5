import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyText, makeChannelRecord } from '../../test/support/records.ts';
import { startTestProxy, type TestProxy } from '../../test/support/test-proxy.ts';
import { startUpstream, type TestUpstream } from '../../test/support/test-upstream.ts';
import { callOf, readRecordings, type Recording, withoutUsageChunk } from '../../test/support/recordings.ts';
import type { SurfaceDriver } from './dialect.ts';
import { endpoints } from './endpoints.ts';
import { makeWholeEvents, noEvents } from '../streams/whole-events.ts';

const recordings = readRecordings();
const drivers = [...new Set(endpoints.flatMap(({ driver }) => driver ?? []))];
const quiet = { stream: true, asksUsage: false, model: 'm', otherModels: [], maxOutputTokens: 0, choices: 1 };

function driverOf(recording: Recording): SurfaceDriver {
  const { path, surface: name } = callOf(recording);
  const found = endpoints.find(
    ({ surface }) => (name === undefined ? surface.path === path : surface.name === name) && surface.method === 'POST',
  )?.driver;
  if (found === undefined) throw new Error(`no endpoint takes POST ${path}`);
  return found;
}

function surfaceOf(driver: SurfaceDriver): SurfaceDriver['surfaces'][number] {
  const surface = driver.surfaces[0];
  if (surface === undefined) throw new Error('a driver without surfaces');
  return surface;
}

/** What a client gets of these chunks: the driver's meter, and behind it what keeps events whole. */
function play(driver: SurfaceDriver, { isEventStream }: Recording, withholdUsage: boolean, chunks: readonly Buffer[]): Buffer {
  const meter = driver.makeMeter({ surface: surfaceOf(driver), stream: isEventStream, withholdUsage, estimatedInputTokens: 33 });
  const events = isEventStream ? makeWholeEvents() : noEvents;
  const passed = chunks.flatMap((chunk) => events.push(meter.push(chunk)));
  const end = meter.end();
  return Buffer.concat([...passed, ...events.rest(), ...end]);
}

/** The bytes in pieces of the sizes that the function gives. */
function cut(bytes: Buffer, nextSize: () => number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let from = 0; from < bytes.length;) {
    const size = nextSize();
    chunks.push(bytes.subarray(from, from + size));
    from += size;
  }
  return chunks;
}

/** The same sizes in each run (mulberry32), so that a failure comes again. */
function makeSizes(seed: number, most: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return 1 + (((mixed ^ (mixed >>> 14)) >>> 0) % most);
  };
}

describe.each(recordings)('$name', (recording) => {
  const { bytes, isEventStream } = recording;

  it('cut in two at every byte, and byte by byte, is what the provider sent', () => {
    const driver = driverOf(recording);
    const withholds = isEventStream && driver.withholdsUsage(surfaceOf(driver), quiet);
    for (const withholdUsage of withholds ? [true, false] : [false]) {
      const expected = withholdUsage ? withoutUsageChunk(bytes) : bytes;
      for (let place = 0; place < bytes.length; place += 1) {
        const given = play(driver, recording, withholdUsage, [bytes.subarray(0, place), bytes.subarray(place)]);
        if (!given.equals(expected)) expect({ place, given: given.toString() }).toEqual({ place, given: expected.toString() });
      }
      expect(
        play(
          driver,
          recording,
          withholdUsage,
          cut(bytes, () => 1),
        ).equals(expected),
      ).toBe(true);
    }
  });

  it('passes the meters of all other calls as well, which know nothing of it', () => {
    for (const driver of drivers)
      for (let seed = 1; seed <= 5; seed += 1)
        expect(play(driver, recording, false, cut(bytes, makeSizes(seed, 64))).equals(bytes)).toBe(true);
  });
});

describe('over real sockets, to a slow client', () => {
  let upstream: TestUpstream;
  let proxy: TestProxy;
  let sent: { readonly bytes: Buffer; readonly type: string; readonly seed: number };
  /** how often the provider was made to wait */
  let waits = 0;

  beforeAll(async () => {
    upstream = await startUpstream((_request, response) => void send(response));
    const usual = { models: [{ name: '*', price: { input: 1, output: 1 } }] };
    proxy = await startTestProxy({
      channels: (['OpenAI', 'Anthropic', 'Gemini'] as const).map((provider) =>
        makeChannelRecord(upstream.url, { ...usual, id: `default/${provider}`, provider }),
      ),
    });
  });
  afterAll(async () => {
    await proxy.stop();
    await upstream.close();
  });

  async function send(response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': sent.type });
    for (const chunk of cut(sent.bytes, makeSizes(sent.seed, 3_000))) {
      if (response.write(chunk)) continue;
      waits += 1;
      await once(response, 'drain');
    }
    response.end();
  }

  /** Reads nothing at first and then a piece at a time. */
  async function ask(recording: Recording): Promise<Buffer> {
    const { path, query = '', body } = callOf(recording);
    const headers = { authorization: `Bearer ${keyText}`, 'content-type': 'application/json' };
    const call = httpRequest(`${proxy.url}${path}${query}`, { method: 'POST', headers, agent: false });
    call.end(JSON.stringify(recording.isEventStream ? { ...body, stream: true } : body));
    const [answer] = (await once(call, 'response')) as [IncomingMessage];
    await sleep(150);
    const chunks: Buffer[] = [];
    for await (const chunk of answer) {
      chunks.push(chunk as Buffer);
      await sleep(1);
    }
    return Buffer.concat(chunks);
  }

  const large = 12_000_000;
  const repeated = recordings.filter(({ bytes, isEventStream }) => isEventStream && /(?:\n\n|\r\n\r\n)$/.test(bytes.toString('latin1')));

  it.each(repeated)('$name, again and again, is what the provider sent', async (recording) => {
    const isLarge = recording.name === 'openai-chat-usage.sse' || recording.name === 'anthropic-text.sse';
    const times = Math.ceil((isLarge ? large : 200_000) / recording.bytes.length);
    const bytes = Buffer.concat(Array.from({ length: times }, () => recording.bytes));
    waits = 0;
    sent = { bytes, type: 'text/event-stream', seed: times };
    const given = await ask(recording);
    const driver = driverOf(recording);
    const expected = driver.withholdsUsage(surfaceOf(driver), quiet) ? withoutUsageChunk(bytes) : bytes;
    expect(given.length).toBe(expected.length);
    expect(given.equals(expected)).toBe(true);
    if (isLarge) expect(waits).toBeGreaterThan(0);
  });

  it.each(recordings.filter(({ isEventStream }) => !isEventStream))('$name is what the provider sent', async (recording) => {
    sent = { bytes: recording.bytes, type: 'application/json', seed: 7 };
    expect((await ask(recording)).toString()).toBe(recording.bytes.toString());
  });
});
