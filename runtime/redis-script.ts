import { createHash } from 'node:crypto';
import type { RedisCommand, RedisNodes } from './redis-command.ts';

/** A Lua script, known to Redis by the hash of its text, so that versions run side by side. */
export interface RedisScript {
  readonly source: string;
  readonly sha: string;
}

/** One call of a script: all its keys, declared, and its arguments. All keys of a call have one hash tag. */
export interface RedisScriptCall {
  readonly script: RedisScript;
  readonly keyCount: number;
  /** keys, then arguments */
  readonly parameters: readonly string[];
}

export function makeRedisScript(source: string): RedisScript {
  // Redis names scripts by SHA-1; nothing secret is hashed here
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

/** A script that Redis forgot (restart, failover, SCRIPT FLUSH) is sent along. */
export async function runScript(redis: RedisNodes, call: RedisScriptCall): Promise<unknown> {
  const [result] = await runScripts(redis, [call]);
  if (result?.status === 'fulfilled') return result.value;
  throw result?.reason ?? new Error('no reply');
}

/** One write for all of a node, and a second for those whose script it had forgotten. Never rejects. */
export async function runScripts(redis: RedisNodes, calls: readonly RedisScriptCall[]): Promise<PromiseSettledResult<unknown>[]> {
  const results = await redis.send(calls.map((call) => toCommand(call)));
  const forgotten = [...results.keys()].filter((position) => isForgotten(results[position]));
  if (forgotten.length === 0) return results;
  const brought = new Set<string>();
  const again = forgotten.flatMap((position) => {
    const call = calls[position];
    if (call === undefined) return [];
    // the first of each script brings it to its node, the others find it there
    const where = `${call.script.sha} ${redis.placeOf(call.parameters[0] ?? '')}`;
    const command = brought.has(where) ? toCommand(call) : toCommand(call, 'eval');
    brought.add(where);
    return [command];
  });
  const answers = await redis.send(again);
  for (const [index, position] of forgotten.entries())
    results[position] = answers[index] ?? { status: 'rejected', reason: new Error('no reply') };
  return results;
}

function toCommand({ script, keyCount, parameters }: RedisScriptCall, how: 'eval' | 'evalsha' = 'evalsha'): RedisCommand {
  return [how, how === 'eval' ? script.source : script.sha, String(keyCount), ...parameters];
}

function isForgotten(result: PromiseSettledResult<unknown> | undefined): boolean {
  return result?.status === 'rejected' && result.reason instanceof Error && result.reason.message.startsWith('NOSCRIPT');
}
