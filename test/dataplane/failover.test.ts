import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../core/secret.ts';
import type { ChannelRecord } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../support/records.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { type Fault, type FaultyUpstream, gatedModel, startFaultyUpstream } from '../support/faulty-upstream.ts';

/** Two tenants: what one of them alone can bring about is another test. */
const otherKeyText = 'sk-kw-9876543210zyxwvutsrqponmlkjihgfedcba';
const keys = [
  makeKeyRecord(),
  makeKeyRecord({
    id: 'second/app',
    uid: 'u2',
    credentials: [{ id: '000000000002', hash: sha256Hex(otherKeyText), prefix: 'sk-kw-9876', state: 'Active' }],
  }),
];
const clients = 8;
const faultMs = 1_500;
/** The first requests wait for a time-out, whose timer goes by half seconds (undici). */
const slowMs = 5_000;
/** A dead credential is tried again after ten seconds. This and the next are bounds against hanging: a fault lasts until it has been seen, a recovery until the channel answers. */
const recoveryMs = 60_000;
const noticedMs = 40_000;
const betweenMs = 10;
/** A sound channel of a busy machine is slow, too. */
const patient = { connectMs: 10_000, firstByteMs: 20_000, idleMs: 20_000, totalMs: 60_000 };

interface Phase {
  requests: number;
  readonly errors: Map<string, number>;
  byFirst: number;
  leaks: number;
}

interface Run {
  readonly fault: Fault;
  readonly during: Phase;
  readonly after: Phase;
  /** whether the breaker of the first channel was seen open, and its credential seen out */
  isBreakerSeen: boolean;
  isCredentialSeenOut: boolean;
  /** the first channel answered again so long after it was well */
  recoveredMs: number | undefined;
}

const makePhase = (): Phase => ({ requests: 0, errors: new Map(), byFirst: 0, leaks: 0 });

function channelAt(url: string, changes: Partial<ChannelRecord>): ChannelRecord {
  return makeChannelRecord(url, {
    circuitBreaker: { consecutiveFailures: 3, openMs: 300 },
    timeouts: patient,
    retries: { attempts: 1, on: ['ConnectFailure', 'Reset', 'RateLimited', 'ServerError', 'Timeout'] },
    credentials: [{ name: 'main', weight: 1, secret: new Secret('sk-provider-1') }],
    ...changes,
  });
}

/** What a client sees: `ok`, or what went wrong. */
async function ask(
  url: string,
  { key, stream, model }: { key: string; stream: boolean; model: string },
): Promise<{ seen: string; text: string; channel: string }> {
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'Hello' }] }),
    });
    const text = await response.text();
    const channel = response.headers.get('x-keywright-channel') ?? '';
    if (response.status !== 200) return { seen: `status ${response.status}: ${text.slice(0, 300)}`, text, channel };
    if (stream)
      return { seen: text.includes('[DONE]') ? 'ok' : text.includes('data: {"error"') ? 'error in the stream' : 'cut', text, channel };
    return { seen: text.includes('"total_tokens":18') ? 'ok' : 'not whole', text, channel };
  } catch (error) {
    return { seen: `no answer (${error instanceof Error ? error.message : ''})`, text: '', channel: '' };
  }
}

async function load(url: string, phase: Phase, until: () => boolean): Promise<void> {
  const one = async (client: number): Promise<void> => {
    for (let turn = 0; !until(); turn += 1) {
      const { seen, text, channel } = await ask(url, {
        key: client % 2 === 0 ? keyText : otherKeyText,
        stream: turn % 2 === 1,
        model: 'gpt-4o-mini',
      });
      phase.requests += 1;
      if (seen !== 'ok') phase.errors.set(seen, (phase.errors.get(seen) ?? 0) + 1);
      if (channel === 'default/first') phase.byFirst += 1;
      if (text.includes('org-secret')) phase.leaks += 1;
      await sleep(betweenMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => one(client)));
}

async function gaugeOf(proxy: TestProxy, name: string): Promise<number | undefined> {
  const metric = await proxy.metrics.registry.getSingleMetric(`keywright_${name}`)?.get();
  return metric?.values.find(({ labels }) => labels['channel'] === 'default/first')?.value;
}

async function play(fault: Fault, first: FaultyUpstream, proxy: TestProxy): Promise<Run> {
  const run: Run = {
    fault,
    during: makePhase(),
    after: makePhase(),
    isBreakerSeen: false,
    isCredentialSeenOut: false,
    recoveredMs: undefined,
  };
  const look = async (): Promise<void> => {
    run.isBreakerSeen ||= (await gaugeOf(proxy, 'channel_breaker_state')) === 2;
    run.isCredentialSeenOut ||= (await gaugeOf(proxy, 'channel_credential_usable')) === 0;
  };
  await first.fail(fault);
  const endMs = performance.now() + (fault === 'slow' ? slowMs : faultMs);
  const isOver = (): boolean => {
    const nowMs = performance.now();
    return nowMs > endMs && (nowMs > endMs + noticedMs || (run.during.requests >= 2 * clients && isSeen(run)));
  };
  const watching = (async () => {
    while (!isOver()) {
      await look();
      await sleep(20);
    }
  })();
  await load(proxy.url, run.during, isOver);
  await watching;
  await first.fail('none');
  const wellMs = performance.now();
  await load(proxy.url, run.after, () => {
    if (run.after.byFirst > 0) run.recoveredMs ??= performance.now() - wellMs;
    return run.recoveredMs !== undefined || performance.now() - wellMs > recoveryMs;
  });
  return run;
}

function isSeen({ fault, isBreakerSeen, isCredentialSeenOut }: Run): boolean {
  // every second answer of a half stream is a whole one, so nothing has to open
  if (fault === 'half a stream') return true;
  return aboutCredential.includes(fault) ? isCredentialSeenOut : isBreakerSeen;
}

const faults: readonly Fault[] = ['killed', 'slow', '429', '500', '401', 'broke', 'garbage', 'half a head', 'half a stream'];
const aboutCredential: readonly Fault[] = ['429', '401', 'broke'];
const runs = new Map<Fault, Run>();
const ends: (() => Promise<void>)[] = [];

async function startScene(
  changes: Partial<ChannelRecord> = {},
): Promise<{ first: FaultyUpstream; second: FaultyUpstream; proxy: TestProxy }> {
  const [first, second] = await Promise.all([startFaultyUpstream(), startFaultyUpstream()]);
  const channels = [
    channelAt(first.url, { id: 'default/first', priority: 0, ...changes }),
    channelAt(second.url, { id: 'default/second', uid: 'c2', priority: 1 }),
  ];
  const proxy = await startTestProxy({ channels, keys });
  ends.push(async () => {
    await proxy.stop();
    await Promise.all([first.close(), second.close()]);
  });
  return { first, second, proxy };
}

beforeAll(async () => {
  // each with servers of its own, so that all of them take as long as the slowest
  await Promise.all(
    faults.map(async (fault) => {
      const { first, proxy } = await startScene(fault === 'slow' ? { timeouts: { ...patient, firstByteMs: 200 } } : {});
      runs.set(fault, await play(fault, first, proxy));
    }),
  );
  process.stdout.write(`${toTable([...runs.values()]).join('\n')}\n`);
}, 180_000);

afterAll(async () => {
  await Promise.all(ends.map((end) => end()));
});

function toTable(rows: readonly Run[]): string[] {
  const show = ({ errors }: Phase): string => [...errors].map(([seen, count]) => `${count} × ${seen}`).join(', ') || 'none';
  return [
    'fault of the first channel | requests | client-visible errors | errors after | breaker open | credential out | back after',
    ...rows.map(({ fault, during, after, isBreakerSeen, isCredentialSeenOut, recoveredMs }) =>
      [
        fault,
        during.requests,
        show(during),
        show(after),
        isBreakerSeen,
        isCredentialSeenOut,
        `${Math.round(recoveredMs ?? Number.NaN)} ms`,
      ].join(' | '),
    ),
  ];
}

function runOf(fault: Fault): Run {
  const run = runs.get(fault);
  if (run === undefined) throw new Error(`${fault} was not played`);
  return run;
}

describe('while one of two channels fails', () => {
  it.each(faults)('%s: clients see only what cannot be avoided', (fault) => {
    const { during, after } = runOf(fault);
    expect(during.requests).toBeGreaterThanOrEqual(2 * clients);
    const allowed = fault === 'half a stream' ? ['error in the stream'] : [];
    expect([...during.errors.keys()].filter((seen) => !allowed.includes(seen))).toEqual([]);
    expect([...after.errors.keys()].filter((seen) => !allowed.includes(seen))).toEqual([]);
    expect([during.leaks, after.leaks]).toEqual([0, 0]);
  });

  it.each(faults)('%s: what is out is seen, and nothing else is', (fault) => {
    const { isBreakerSeen, isCredentialSeenOut } = runOf(fault);
    const isCredential = aboutCredential.includes(fault);
    if (fault !== 'half a stream') expect([isBreakerSeen, isCredentialSeenOut]).toEqual([!isCredential, isCredential]);
  });

  it.each(faults)('%s: the channel comes back by itself', (fault) => {
    expect(runOf(fault).recoveredMs).toBeLessThan(recoveryMs);
  });
});

it('a model that one tenant may not use takes nothing from anybody', async () => {
  const { first, second, proxy } = await startScene();
  await first.fail('gated model');
  for (let turn = 0; turn < 20; turn += 1) {
    const gated = await ask(proxy.url, { key: keyText, stream: false, model: gatedModel });
    expect([gated.seen, gated.channel]).toEqual(['ok', 'default/second']);
    for (const key of [keyText, otherKeyText]) {
      const other = await ask(proxy.url, { key, stream: false, model: 'gpt-4o-mini' });
      expect([other.seen, other.channel]).toEqual(['ok', 'default/first']);
    }
  }
  // asked once, then known
  expect([first.requests, second.requests]).toEqual([41, 20]);
  expect([await gaugeOf(proxy, 'channel_breaker_state'), await gaugeOf(proxy, 'channel_credential_usable')]).toEqual([0, 1]);
});
