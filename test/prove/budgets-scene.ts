import { budgetsKey } from '../../core/budget-restore.ts';
import {
  type FakeBehaviour,
  type Installation,
  providerSecret,
  type RunningProcess,
  startInstallation,
  virtualKey,
} from '../e2e/installation.ts';

/** Nano-dollars of a token, as the Channels of this scene price it. */
export const rates = { input: 1_000, cacheWrite: 1_250, output: 4_000 } as const;
const price = '{ input: "1", cachedInput: "1", cacheWrite: "1.25", cacheWrite1h: "1.25", output: "4" }';

/** One kind of request. The provider counts `inputTokens` and as much output as the request allows. */
export interface Shape {
  readonly name: string;
  readonly dialect: 'OpenAI' | 'Anthropic';
  readonly content: unknown;
  readonly inputTokens: number;
  readonly choices?: number;
  /** absent: the request has no bound and the provider answers with `outputTokens` */
  readonly maxTokens?: number;
  readonly outputTokens: number;
  readonly chunkDelayMs?: number;
  readonly chunks?: number;
}

export interface Scene {
  readonly installation: Installation;
  /** what the provider has begun to serve of each shape, in nano-dollars, by the prices above */
  readonly served: ReadonlyMap<string, number>;
  /** a key of its own: `limit` in nano-dollars */
  makeKey(name: string, limit: number, more?: string): Promise<string>;
}

export async function startScene(shapes: readonly Shape[]): Promise<Scene> {
  const served = new Map<string, number>();
  const behaviour: FakeBehaviour = ({ json }) => {
    const shape = shapes.find(({ name }) => name === (json as { model?: unknown }).model);
    if (shape === undefined) return undefined;
    served.set(shape.name, (served.get(shape.name) ?? 0) + costOfShape(shape));
    const { inputTokens: input, chunks = 4, chunkDelayMs = 20 } = shape;
    return { usage: { input, output: outputOf(shape) }, chunks, chunkDelayMs };
  };
  const installation = await startInstallation({ proxies: 3, behaviour });
  const { address } = installation.provider;
  const models = (dialect: string): string =>
    shapes
      .filter((shape) => shape.dialect === dialect)
      .map(({ name }) => `{ name: ${name}, price: ${price} }`)
      .join(', ');
  await installation.apply(`apiVersion: v1
kind: Secret
metadata: { name: provider-key, namespace: default, labels: { keywright.dev/credential: "true" } }
stringData: { apiKey: ${providerSecret} }
`);
  for (const dialect of new Set(shapes.map((shape) => shape.dialect))) {
    await installation.apply(`apiVersion: keywright.dev/v1alpha1
kind: Channel
metadata: { name: ${dialect.toLowerCase()}, namespace: default }
spec:
  provider: ${dialect}
  baseURL: ${address}
  tls: { allowPlaintext: true }
  models: [${models(dialect)}]
  auth: { apiKeys: [{ name: main, secretRef: { name: provider-key, key: apiKey } }] }
`);
  }
  return {
    installation,
    served,
    async makeKey(name, limit, more = '') {
      await installation.apply(virtualKey(name, `{ budgets: [{ period: Total, limit: "${(limit / 1e9).toFixed(6)}" }]${more} }`));
      return installation.deliveredKey(name);
    },
  };
}

function outputOf({ outputTokens, choices = 1 }: Shape): number {
  return outputTokens * choices;
}

export function costOfShape(shape: Shape): number {
  return shape.inputTokens * rates.input + outputOf(shape) * rates.output;
}

/** No reservation of such a request is above this: every byte of its body a token, at the dearest rates. */
export function boundOf(shape: Shape): number {
  const bound = (Buffer.byteLength(bodyOf(shape)) + 1_200) * rates.cacheWrite + outputOf(shape) * rates.output;
  // an amount of a budget has six decimals
  return Math.ceil(bound / 1_000) * 1_000;
}

function bodyOf({ name, content, maxTokens, choices }: Shape): string {
  const output = maxTokens === undefined ? {} : { max_tokens: maxTokens };
  return JSON.stringify({
    model: name,
    stream: true,
    ...output,
    ...(choices === undefined ? {} : { n: choices }),
    messages: [{ role: 'user', content }],
  });
}

/** One stream, read to its end. A connection that breaks is status 0. */
export async function ask(proxy: RunningProcess | undefined, apiKey: string, shape: Shape): Promise<{ status: number; code: string }> {
  const openai = shape.dialect === 'OpenAI';
  const credential: Record<string, string> = openai
    ? { authorization: `Bearer ${apiKey}` }
    : { 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' };
  try {
    const answer = await fetch(`${proxy?.address}${openai ? '/v1/chat/completions' : '/v1/messages'}`, {
      method: 'POST',
      headers: { ...credential, 'content-type': 'application/json' },
      body: bodyOf(shape),
    });
    const text = await answer.text();
    return { status: answer.status, code: answer.status === 200 ? '' : text };
  } catch {
    return { status: 0, code: 'connection' };
  }
}

/** What the key itself is told, in nano-dollars. */
export async function readSelf(proxy: RunningProcess | undefined, apiKey: string): Promise<{ spent: number; reserved: number }> {
  const answer = await fetch(`${proxy?.address}/v1/keys/self`, { headers: { authorization: `Bearer ${apiKey}` } });
  const { budgets = [] } = (await answer.json()) as { budgets?: { spent: string; reserved: string }[] };
  const [budget] = budgets;
  if (budget === undefined) throw new Error(`no budget is told: ${answer.status}`);
  return { spent: Math.round(Number(budget.spent) * 1e9), reserved: Math.round(Number(budget.reserved) * 1e9) };
}

/** What Redis itself holds as spent, in nano-dollars. */
export async function readStored({ redis }: Installation, keyId: string): Promise<number> {
  const script = "local v = redis.call('HGET', KEYS[1], 'T0') return v and string.format('%.0f', (struct.unpack('<dd', v))) or '0'";
  return Number(await redis.cli('EVAL', script, '1', budgetsKey(keyId)));
}

export interface Exhaustion {
  readonly admitted: number;
  readonly waves: number;
  readonly others: readonly string[];
}

/** Waves of `concurrent` streams over all proxies, each wave after the one before, until one is refused as a whole. */
export async function exhaust(scene: Scene, apiKey: string, shape: Shape, concurrent: number): Promise<Exhaustion> {
  const { proxies } = scene.installation;
  const others: string[] = [];
  let admitted = 0;
  for (let waves = 1; ; waves += 1) {
    const asked = Array.from({ length: concurrent }, (_, position) => ask(proxies[position % proxies.length], apiKey, shape));
    const answers = await Promise.all(asked);
    others.push(...answers.filter(({ status }) => status !== 200 && status !== 429).map(({ status, code }) => `${status} ${code}`));
    const passed = answers.filter(({ status }) => status === 200).length;
    admitted += passed;
    if (passed === 0 || waves >= 100) return { admitted, waves, others };
    // what has ended is settled within 50 ms
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
