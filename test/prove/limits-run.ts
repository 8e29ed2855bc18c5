import { setTimeout as sleep } from 'node:timers/promises';
import { channelManifests, type FakeBehaviour, type Installation, startInstallation, virtualKey } from '../e2e/installation.ts';
import { type Charge, mostInAnySpan, utilisationOf } from '../support/spans.ts';
import type { LogLine } from '../support/process.ts';
import { type LoadResult, type Manner, saturate } from './limits-load.ts';

/** One limit under saturating clients. Its name is also that of its VirtualKey and of its model. */
export interface Scenario {
  readonly name: string;
  readonly unit: 'requests' | 'tokens' | 'concurrency';
  readonly limit: number;
  readonly manner: Manner;
  readonly clientsPerProxy: number;
  readonly everyMs: number;
}

export interface ScenarioResult {
  readonly scenario: Scenario;
  readonly admitted: number;
  readonly refused: number;
  readonly others: readonly string[];
  /** in any 60 s of the store's clock, or at any moment */
  readonly most: number;
  /** whole windows after the first, and how much of the limit was used in them */
  readonly windows: number;
  readonly utilisation: number;
}

export interface LimitsResult {
  readonly mode: string;
  readonly minutes: number;
  readonly scenarios: readonly ScenarioResult[];
  /** scripts that an admission waited for ÷ admitted requests, refusals' too */
  readonly blockingPerAdmitted: number;
  /** all scripts ÷ admitted requests */
  readonly scriptsPerAdmitted: number;
  /** CPU of Redis in all scripts ÷ admitted requests */
  readonly redisMicrosPerAdmitted: number;
  /** admissions that were not decided by Redis: there must be none */
  readonly degraded: number;
  readonly lateAnswers: number;
}

const windowMs = 60_000;
/** What each answer of a tokens scenario is worth; a request allows at most so much output that its reservation is above it. */
const usage = { input: 100, output: 400 };
const maxTokens = 500;
const concurrentAnswerMs = 1_000;

interface Recorder {
  readonly charges: Map<string, Charge[]>;
  degraded: number;
  keep(line: LogLine): boolean;
}

/** Access lines are counted as they come; a run of minutes has more of them than fit in memory. */
function makeRecorder(): Recorder {
  const charges = new Map<string, Charge[]>();
  return {
    charges,
    degraded: 0,
    keep(line) {
      if (line['event'] !== 'access') return true;
      if (line['degraded'] === true) this.degraded += 1;
      if (line['status'] !== 200 || line['limiter_time_ms'] === undefined) return false;
      const name = String(line['key']).replace('default/', '');
      const amount = Number(line['input_tokens']) + Number(line['output_tokens']);
      const known = charges.get(name) ?? [];
      known.push({ atMs: Number(line['limiter_time_ms']), amount });
      charges.set(name, known);
      return false;
    },
  };
}

/** How many requests of each model the provider works on: they lie within the slots of the limiter, so there are never more than slots. */
function makeGauge(): { behaviour: FakeBehaviour; most: Map<string, number>; busyMs: Map<string, number> } {
  const now = new Map<string, number>();
  const most = new Map<string, number>();
  const busyMs = new Map<string, number>();
  return {
    most,
    busyMs,
    async behaviour({ json }) {
      const model = String((json as { model?: unknown }).model);
      if (model.startsWith('tpm')) return { usage };
      if (!model.startsWith('concurrency')) return undefined;
      const startedMs = performance.now();
      const inFlight = (now.get(model) ?? 0) + 1;
      now.set(model, inFlight);
      most.set(model, Math.max(most.get(model) ?? 0, inFlight));
      await sleep(concurrentAnswerMs);
      now.set(model, (now.get(model) ?? 0) - 1);
      busyMs.set(model, (busyMs.get(model) ?? 0) + performance.now() - startedMs);
      return undefined;
    },
  };
}

/** Three proxies, one Redis and a real control plane; all scenarios at the same time, each on a key of its own. */
export async function runLimits(
  scenarios: readonly Scenario[],
  { mode, minutes, settings = {} }: { mode: string; minutes: number; settings?: Readonly<Record<string, string>> },
): Promise<LimitsResult> {
  const recorder = makeRecorder();
  const gauge = makeGauge();
  const installation = await startInstallation({
    proxies: 3,
    behaviour: gauge.behaviour,
    proxy: settings,
    spawn: { keep: (line) => recorder.keep(line) },
  });
  try {
    await installation.apply(channelManifests(installation.provider));
    await installation.apply(scenarios.map((scenario) => virtualKey(scenario.name, toSpec(scenario))).join('---\n'));
    const keys = await Promise.all(scenarios.map(({ name }) => installation.deliveredKey(name)));
    const before = await readCosts(installation);
    const untilMs = performance.now() + minutes * 60_000;
    const loads = await Promise.all(
      scenarios.map((scenario, position) => saturate(installation.proxies, toLoad(scenario, keys[position] ?? ''), untilMs)),
    );
    const after = await readCosts(installation);
    // the last lines of the log
    await sleep(500);
    const results = scenarios.map((scenario, position) => toResult(scenario, loads[position], { recorder, gauge, seconds: minutes * 60 }));
    const admitted = results.reduce((sum, result) => sum + result.admitted, 0);
    const per = (name: keyof Costs): number => Math.round(((after[name] - before[name]) / admitted) * 1_000) / 1_000;
    return {
      mode,
      minutes,
      scenarios: results,
      blockingPerAdmitted: per('blocking'),
      scriptsPerAdmitted: per('scripts'),
      redisMicrosPerAdmitted: per('micros'),
      degraded: recorder.degraded,
      lateAnswers: after.late - before.late,
    };
  } finally {
    await installation.stop();
  }
}

function toSpec({ unit, limit }: Scenario): string {
  const field = { requests: 'rpm', tokens: 'tpm', concurrency: 'concurrency' }[unit];
  return `{ limits: { ${field}: ${limit} } }`;
}

function toLoad({ name, manner, clientsPerProxy, everyMs }: Scenario, apiKey: string): Parameters<typeof saturate>[1] {
  const body = JSON.stringify({ model: name, max_tokens: maxTokens, messages: [{ role: 'user', content: 'Hello' }] });
  return { apiKey, body, manner, clients: clientsPerProxy, everyMs };
}

function toResult(
  scenario: Scenario,
  load: LoadResult | undefined,
  { recorder, gauge, seconds }: { recorder: Recorder; gauge: ReturnType<typeof makeGauge>; seconds: number },
): ScenarioResult {
  const { name, unit, limit } = scenario;
  if (load === undefined) throw new Error(`no load for ${name}`);
  const { admitted, refused, others } = load;
  const counts = { scenario, admitted, refused, others };
  if (unit === 'concurrency') {
    const utilisation = (gauge.busyMs.get(name) ?? 0) / (limit * seconds * 1_000);
    return { ...counts, most: gauge.most.get(name) ?? 0, windows: 0, utilisation };
  }
  const lines = recorder.charges.get(name) ?? [];
  const charges = unit === 'requests' ? lines.map(({ atMs }) => ({ atMs, amount: 1 })) : lines;
  if (lines.length !== admitted)
    throw new Error(`${name}: ${admitted} answers, but ${lines.length} access lines with the time of an admission`);
  const untilMs = charges.reduce((latest, { atMs }) => Math.max(latest, atMs), 0);
  const { spans, ratio } = utilisationOf(charges, { limit, spanMs: windowMs, untilMs });
  return { ...counts, most: mostInAnySpan(charges, windowMs), windows: spans, utilisation: ratio };
}

interface Costs {
  readonly blocking: number;
  readonly scripts: number;
  readonly micros: number;
  readonly late: number;
}

export async function readCosts({ proxies, redis }: Installation): Promise<Costs> {
  const texts = await Promise.all(proxies.map(async ({ admin }) => (await fetch(`${admin}/metrics`)).text()));
  const sum = (pattern: RegExp): number =>
    texts.reduce((total, text) => total + [...text.matchAll(pattern)].reduce((of, [, value]) => of + Number(value), 0), 0);
  const stats = String(await redis.cli('INFO', 'commandstats'));
  const micros = [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=\d+,usec=(\d+)/g)].reduce((total, [, value]) => total + Number(value), 0);
  return {
    blocking: sum(/^keywright_limiter_commands_total\{command="admit"\} (\d+)$/gm),
    scripts: sum(/^keywright_limiter_commands_total\{command="(?!probe)\w+"\} (\d+)$/gm),
    micros,
    late: sum(/^keywright_limiter_(?:late|timeouts)_total (\d+)$/gm),
  };
}
