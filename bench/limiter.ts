/**
 * `node bench/limiter.ts [seconds]` measures what admissions cost a real Redis: the counters of one proxy and a key with four windows, one admission after the other, 1,000 a second
 * in turns of eight, as fast as they come in turns of 64, and a client that hammers a limit that is reached; and what their settlements cost at 1,000 a second. REDIS_URL is emptied where it is given. Prints a table.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LimitWindow } from '../proxy/counters/counters.ts';
import { makeRedisCounters } from '../proxy/counters/redis.ts';
import type { SharedCounters } from '../proxy/counters/shared-counters.ts';
import { makeLog } from '../runtime/log.ts';
import { makeMetrics } from '../runtime/metrics.ts';
import { startRedis, type TestRedis } from '../test/support/redis.ts';

const seconds = Number(process.argv[2] ?? 10);
const large = 1_000_000_000;
const bearer = { uid: 'one', gen: 1, credentialId: 'aaaaaaaaaaaa' };
let number = 0;

function windows(rpm: number): readonly LimitWindow[] {
  return [
    { name: 'rpm', unit: 'requests', span: 'minute', limit: rpm, shadow: false },
    { name: 'tpm', unit: 'tokens', span: 'minute', limit: large, shadow: false },
    { name: 'rpd', unit: 'requests', span: 'day', limit: large, shadow: false },
    { name: 'tpd', unit: 'tokens', span: 'day', limit: large, shadow: false },
  ];
}

/** Calls and time of the scripts with everything they call, as Redis counts them. */
async function readScripts(redis: TestRedis): Promise<{ calls: number; usec: number }> {
  const text = String(await redis.cli('INFO', 'commandstats'));
  const found = [...text.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+),usec=(\d+)/g)];
  const sum = (group: number): number => found.reduce((total, match) => total + Number(match[group]), 0);
  return { calls: sum(1), usec: sum(2) };
}

function admit(counters: SharedCounters, rpm: number): Promise<unknown> {
  number += 1;
  return counters.admit({ requestId: `b${number}`, keyId: 'team/app', bearer, windows: windows(rpm), tokens: 100, holdMs: 30_000 });
}

interface Load {
  readonly name: string;
  readonly rpm: number;
  readonly size: number;
  readonly everyMs: number;
}

/** Nothing is settled, so that only admissions are measured. */
async function measure(redis: TestRedis, { name, rpm, size, everyMs }: Load): Promise<string> {
  await redis.cli('FLUSHALL');
  const metrics = makeMetrics();
  const log = makeLog({ level: 'silent', name: 'bench' });
  const counters = makeRedisCounters({ url: redis.url, log, metrics, replicas: 1, now: Date.now, deadlineMs: 5_000 });
  await counters.ready(5_000);
  // both sides are warm, and a limit that is to be reached is
  for (let count = 0; count < 50; count += 1) await admit(counters, rpm);
  await redis.cli('CONFIG', 'RESETSTAT');
  const startedMs = performance.now();
  let answered = 0;
  for (let turn = 1; performance.now() - startedMs < seconds * 1_000; turn += 1) {
    await Promise.all(Array.from({ length: size }, () => admit(counters, rpm)));
    answered += size;
    const restMs = startedMs + turn * everyMs - performance.now();
    if (restMs > 0) await sleep(restMs);
  }
  const perSecond = Math.round((answered * 1_000) / (performance.now() - startedMs));
  const { calls, usec } = await readScripts(redis);
  await counters.close();
  metrics.close();
  return `| ${name} | ${perSecond} | ${(calls / answered).toFixed(3)} | ${(usec / answered).toFixed(1)} |`;
}

/** Settlements alone, eight in a turn, of requests that were admitted before. */
async function measureSettlements(redis: TestRedis): Promise<string> {
  await redis.cli('FLUSHALL');
  const metrics = makeMetrics();
  const log = makeLog({ level: 'silent', name: 'bench' });
  const counters = makeRedisCounters({ url: redis.url, log, metrics, replicas: 1, now: Date.now, deadlineMs: 5_000 });
  await counters.ready(5_000);
  const count = seconds * 1_000;
  const requestIds = Array.from({ length: count }, (_, position) => `s${position}`);
  const common = { keyId: 'team/app', windows: windows(large), tokens: 100 };
  for (let from = 0; from < count; from += 64) {
    const turn = requestIds.slice(from, from + 64);
    await Promise.all(turn.map((requestId) => counters.admit({ ...common, requestId, bearer, holdMs: 300_000 })));
  }
  await redis.cli('CONFIG', 'RESETSTAT');
  const startedMs = performance.now();
  for (let from = 0; from < count; from += 8) {
    for (const requestId of requestIds.slice(from, from + 8))
      counters.settle({ ...common, requestId, concurrency: false, refundRequest: false });
    const restMs = startedMs + from + 8 - performance.now();
    if (restMs > 0) await sleep(restMs);
  }
  await counters.flush();
  const perSecond = Math.round((count * 1_000) / (performance.now() - startedMs));
  const { calls, usec } = await readScripts(redis);
  await counters.close();
  metrics.close();
  return `| settlements, 8 in a turn | ${perSecond} | ${(calls / count).toFixed(3)} | ${(usec / count).toFixed(1)} |`;
}

const loads: readonly Load[] = [
  { name: 'one after the other', rpm: large, size: 1, everyMs: 0 },
  { name: '8 in a turn', rpm: large, size: 8, everyMs: 8 },
  { name: '64 in a turn', rpm: large, size: 64, everyMs: 0 },
  { name: 'refused, 8 in a turn', rpm: 10, size: 8, everyMs: 8 },
];
const redis = await startRedis();
try {
  process.stdout.write('| admissions | a second | script calls each | Redis µs each |\n| --- | --- | --- | --- |\n');
  for (const load of loads) process.stdout.write(`${await measure(redis, load)}\n`);
  process.stdout.write(`${await measureSettlements(redis)}\n`);
} finally {
  await redis.stop();
}
