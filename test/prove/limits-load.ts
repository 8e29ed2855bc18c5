import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import type { RunningProcess } from '../e2e/installation.ts';

/** What clients do with a refusal: ask again at their own pace, or wait for as long as they were told. */
export type Manner = 'polling' | 'obedient';

export interface Load {
  readonly apiKey: string;
  readonly body: string;
  readonly manner: Manner;
  /** clients at each proxy */
  readonly clients: number;
  /** between two calls of one client while it polls; what it is late by is caught up */
  readonly everyMs: number;
}

export interface LoadResult {
  readonly admitted: number;
  readonly refused: number;
  /** any other answer, by its status and text */
  readonly others: readonly string[];
}

/** A client that is late by more than this (the machine was busy) does not make up for it in a burst. */
const mostCatchUpMs = 1_000;
/** Longer than two buckets: where in its bucket each client begins is left to chance. */
const phaseMs = 5_000;

/** Saturates one key at all proxies until `untilMs` (`performance.now()`), each client from a phase of its own. */
export async function saturate(proxies: readonly RunningProcess[], load: Load, untilMs: number): Promise<LoadResult> {
  const result = { admitted: 0, refused: 0, others: [] as string[] };
  const pools = proxies.map(({ address }) => new Pool(address, { connections: load.clients, pipelining: 1 }));
  const clients = pools.flatMap((pool) => Array.from({ length: load.clients }, () => runClient(pool, load, { untilMs, result })));
  await Promise.all(clients);
  await Promise.all(pools.map((pool) => pool.close()));
  return result;
}

async function runClient(
  pool: Pool,
  { apiKey, body, manner, everyMs }: Load,
  { untilMs, result }: { untilMs: number; result: { admitted: number; refused: number; others: string[] } },
): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  await sleep(Math.random() * phaseMs);
  let nextMs = performance.now();
  while (performance.now() < untilMs) {
    const answer = await pool.request({ method: 'POST', path: '/v1/chat/completions', headers, body });
    const text = await answer.body.text();
    const isRefused = answer.statusCode === 429 && text.includes('rate_limit');
    if (answer.statusCode === 200) result.admitted += 1;
    else if (isRefused) result.refused += 1;
    else result.others.push(`${answer.statusCode} ${text.slice(0, 200)}`);
    nextMs = Math.max(nextMs + everyMs, performance.now() - mostCatchUpMs);
    const toldMs = manner === 'obedient' && isRefused ? Number(answer.headers['retry-after-ms']) : 0;
    const waitMs = Math.max(toldMs, nextMs - performance.now());
    if (waitMs > 0) await sleep(Math.max(0, Math.min(waitMs, untilMs - performance.now())));
  }
}
