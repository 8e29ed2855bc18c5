import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import AnthropicBefore1 from 'anthropic-sdk-0';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { KeyLimits, KeyRecord } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';
import { chatAnswer } from '../support/chat.ts';
import { makeChannelRecord, makeKeyRecord } from '../support/records.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { answerJson, startUpstream, type TestUpstream } from '../support/test-upstream.ts';
import { untilHolds } from '../support/eventually.ts';
import { type RefusalKind, refusalKinds, type SdkRow, sdkTable } from './sdk-table.ts';

/** One call of one SDK into one kind of refusal, with a key of its own. */
interface Case {
  readonly id: string;
  readonly row: SdkRow;
  readonly kind: RefusalKind;
  readonly key: string;
}

const limitsOf: Readonly<Record<RefusalKind, KeyLimits>> = {
  rpm: { rpm: 1 },
  tpm: { tpm: 18 },
  rpd: { rpd: 1 },
  tpd: { tpd: 18 },
  concurrency: { concurrency: 1 },
  'limit of 0': { rpm: 0 },
  budget: {},
};

const cases: readonly Case[] = sdkTable.flatMap((row) =>
  refusalKinds.map((kind) => ({ id: idOf(row, kind), row, kind, key: `sk-kw-${sha256Hex(idOf(row, kind)).slice(0, 36)}` })),
);
/** It retries nothing by itself. */
const isGemini = ({ sdk }: SdkRow): boolean => sdk.includes('genai');

/** The limits are used up in the past of the counters' clock, so that a minute's limit frees after seconds of the SDKs' own, real waiting. */
let counterLagMs = 36_000;
let upstream: TestUpstream;
let proxy: TestProxy;
const held: (() => void)[] = [];
const requests = new Map<string, number>();
const outcomes = new Map<string, string>();

const messageAnswer = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude-model',
  content: [{ type: 'text', text: 'Hi' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 11, output_tokens: 7 },
};

beforeAll(async () => {
  const script = join(import.meta.dirname, '../tools/python-sdks.sh');
  const python = execFileSync('bash', [script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  upstream = await startUpstream((request, response) => {
    const answer = (): void => answerJson(response, request.url.includes('messages') ? messageAnswer : chatAnswer);
    if (request.body.includes(heldText)) held.push(answer);
    else answer();
  });
  const changes = {
    models: [{ name: '*', price: { input: 1e9, output: 1e9 } }],
    retries: { attempts: 0, on: [] },
    timeouts: { connectMs: 5000, firstByteMs: 120_000, idleMs: 120_000, totalMs: 120_000 },
  };
  const anthropic = { ...changes, id: 'default/anthropic', provider: 'Anthropic', authHeader: 'x-api-key', authScheme: '' } as const;
  const gemini = { ...anthropic, id: 'default/gemini', provider: 'Gemini', authHeader: 'x-goog-api-key' } as const;
  proxy = await startTestProxy({
    channels: [changes, anthropic, gemini].map((channel) => makeChannelRecord(upstream.url, channel)),
    keys: cases.map(toRecord),
    now: () => Date.now() - counterLagMs,
  });
  // clients first: making them takes seconds, and the limits do not wait
  const inPython = await prepareInPython(python);
  const inNode = cases.filter(({ row }) => row.language === 'Node').map((each) => ({ id: each.id, call: prepareInNode(each) }));
  const { answered, release } = await useUpLimits();
  const calls = inNode.map(async ({ id, call }) => outcomes.set(id, await toOutcome(call)));
  await Promise.all([...calls, inPython()]);
  for (const { id } of cases)
    requests.set(id, proxy.accessLines().filter((line) => line['key'] === toName(id)).length - (answered.has(id) ? 1 : 0));
  await release();
}, 180_000);

afterAll(async () => {
  await proxy.stop();
  await upstream.close();
});

it.each(sdkTable)('$sdk $version ($language) sends what the table says', (row) => {
  const counted = refusalKinds.map((kind) => [kind, requests.get(idOf(row, kind)) ?? 0] as const);
  expect(Object.fromEntries(counted)).toEqual(row.requests);
});

it('is served after a minute limit that it waited for, and raises its own error for a rate limit after the others', () => {
  const expected = ({ row, kind }: Case): string => {
    if (isGemini(row)) return row.language === 'Node' ? 'ApiError' : 'ClientError';
    return kind === 'rpm' || kind === 'tpm' ? 'answered' : 'RateLimitError';
  };
  const raised = cases.map((each) => [each.id, outcomes.get(each.id), expected(each)]);
  expect(raised.filter(([, outcome, right]) => outcome !== right)).toEqual([]);
});

it('the table names the versions that are installed', () => {
  const { devDependencies } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  const python = readFileSync(join(import.meta.dirname, '../tools/python-sdks.txt'), 'utf8').split('\n');
  for (const { sdk, version, language } of sdkTable) {
    if (language === 'Python') expect(python).toContain(`${sdk}==${version}`);
    else expect([devDependencies[sdk], devDependencies['anthropic-sdk-0']?.split('@').at(-1)]).toContain(version);
  }
});

function idOf({ sdk, version, language }: SdkRow, kind: RefusalKind): string {
  return `${language} ${sdk} ${version} ${kind}`;
}

/** `id` as a resource may be called */
function toName(id: string): string {
  return `sdk/${sha256Hex(id).slice(0, 12)}`;
}

function toRecord({ id, key, kind }: Case): KeyRecord {
  const credential = { id: sha256Hex(id).slice(0, 12), hash: sha256Hex(key), prefix: '', state: 'Active' } as const;
  const budget = { period: 'Monthly', limitNanoUsd: 1, mode: 'Enforce', warnAt: [] } as const;
  return makeKeyRecord({
    id: toName(id),
    uid: id,
    credentials: [credential],
    limits: limitsOf[kind],
    ...(kind === 'budget' ? { budgets: [budget] } : {}),
  });
}

const heldText = 'hold this one';

async function useUp({ key }: Case, content: string): Promise<void> {
  const response = await fetch(`${proxy.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content }], max_tokens: 1 }),
  });
  expect(response.status).toBe(200);
  await response.text();
}

/** Windows in the past, slots now: one that nobody renews frees itself after half a minute. */
async function useUpLimits(): Promise<{ answered: ReadonlySet<string>; release: () => Promise<void> }> {
  const windows = cases.filter(({ kind }) => !['concurrency', 'limit of 0', 'budget'].includes(kind));
  await Promise.all(windows.map((each) => useUp(each, 'Hello')));
  counterLagMs = 0;
  const slots = cases.filter(({ kind }) => kind === 'concurrency');
  const holding = Promise.all(slots.map((each) => useUp(each, heldText)));
  await untilHolds(() => expect(held).toHaveLength(slots.length));
  return {
    answered: new Set(windows.map(({ id }) => id)),
    async release() {
      for (const answer of held) answer();
      await holding;
    },
  };
}

function prepareInNode({ row, kind, key }: Case): () => Promise<unknown> {
  const messages = [{ role: 'user' as const, content: 'Hello' }];
  const message = { model: 'claude-model', max_tokens: 8, messages };
  switch (`${row.sdk} ${row.version}`) {
    case 'openai 7.57.0': {
      const client = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: key });
      return () => client.chat.completions.create({ model: 'gpt-4o-mini', messages });
    }
    case '@anthropic-ai/sdk 1.12.0': {
      const client = new Anthropic({ baseURL: proxy.url, apiKey: key });
      return () => client.messages.create(message);
    }
    case '@anthropic-ai/sdk 0.137.0': {
      const client = new AnthropicBefore1({ baseURL: proxy.url, apiKey: key });
      return () => client.messages.create(message);
    }
    case '@google/genai 3.3.0': {
      const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: proxy.url } });
      return () => client.models.generateContent({ model: 'gemini-2.5-flash', contents: kind });
    }
    default:
      throw new Error(`nobody knows how to call ${row.sdk} ${row.version}`);
  }
}

async function toOutcome(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return 'answered';
  } catch (error) {
    return (error as Error).constructor.name;
  }
}

/** Gives what makes the calls. */
async function prepareInPython(python: string): Promise<() => Promise<void>> {
  const given = cases
    .filter(({ row }) => row.language === 'Python')
    .map((each) => ({ id: each.id, sdk: each.row.sdk, key: each.key, url: proxy.url }));
  const child = spawn(python, [join(import.meta.dirname, 'sdk_calls.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.write(`${JSON.stringify(given)}\n`);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('ready');
  return async () => {
    child.stdin.end('go\n');
    const results = JSON.parse(String((await lines.next()).value)) as Record<string, string>;
    for (const [id, outcome] of Object.entries(results)) outcomes.set(id, outcome);
  };
}
