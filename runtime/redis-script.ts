import { createHash } from 'node:crypto';
import type { RedisCommand, RedisNodes } from './redis-command.ts';

/** A Lua script, known to Redis by the hash of its text, so that versions run side by side. */
export interface RedisScript {
  readonly source: string;
  readonly sha: string;
  /** it writes nothing, and Redis is asked to see to that; whoever may only read its keys may call it */
  readonly readOnly?: boolean;
}

/** One call of a script: all its keys, declared, and its arguments. All keys of a call have one hash tag. */
export interface RedisScriptCall {
  readonly script: RedisScript;
  readonly keyCount: number;
  /** keys, then arguments */
  readonly parameters: readonly string[];
}

export function makeRedisScript(source: string, { readOnly = false } = {}): RedisScript {
  // Redis names scripts by SHA-1; nothing secret is hashed here
  return { source, sha: createHash('sha1').update(source).digest('hex'), readOnly };
}

/** A script that Redis forgot (restart, failover, SCRIPT FLUSH) is sent along. */
export async function runScript(redis: RedisNodes, call: RedisScriptCall): Promise<unknown> {
  const [result] = await runScripts(redis, [call]);
  if (result?.status === 'fulfilled') return result.value;
  throw result?.reason ?? new Error('no reply');
}

/**
 * One write for all of a node, and a second for those whose script it had forgotten. Never rejects. Calls of one node are run in their order: where they are of several scripts, each
 * script is sent along with its first call, since one that was forgotten would otherwise be run behind the others.
 */
export async function runScripts(redis: RedisNodes, calls: readonly RedisScriptCall[]): Promise<PromiseSettledResult<unknown>[]> {
  const results = await redis.send(toCommands(redis, calls, { bring: placesOfSeveral(redis, calls) }));
  const forgotten = [...results.keys()].filter((position) => isForgotten(results[position]));
  if (forgotten.length === 0) return results;
  const again = forgotten.flatMap((position) => calls[position] ?? []);
  const answers = await redis.send(toCommands(redis, again, { bring: 'everywhere' }));
  for (const [index, position] of forgotten.entries())
    results[position] = answers[index] ?? { status: 'rejected', reason: new Error('no reply') };
  return results;
}

/** The first call of each script brings it to its node, the others find it there. */
function toCommands(
  redis: RedisNodes,
  calls: readonly RedisScriptCall[],
  { bring }: { bring: ReadonlySet<string> | 'everywhere' },
): RedisCommand[] {
  if (bring !== 'everywhere' && bring.size === 0) return calls.map((call) => toCommand(call));
  const brought = new Set<string>();
  return calls.map((call) => {
    const place = placeOf(redis, call);
    const where = `${call.script.sha} ${place}`;
    const isFirst = (bring === 'everywhere' || bring.has(place)) && !brought.has(where);
    brought.add(where);
    return toCommand(call, isFirst ? 'eval' : 'evalsha');
  });
}

function placesOfSeveral(redis: RedisNodes, calls: readonly RedisScriptCall[]): ReadonlySet<string> {
  const [first] = calls;
  if (first === undefined || calls.every(({ script }) => script === first.script)) return new Set();
  const scripts = new Map<string, RedisScript>();
  const places = new Set<string>();
  for (const call of calls) {
    const place = placeOf(redis, call);
    if ((scripts.get(place) ?? call.script) !== call.script) places.add(place);
    scripts.set(place, call.script);
  }
  return places;
}

function placeOf(redis: RedisNodes, call: RedisScriptCall): string {
  return redis.placeOf(call.parameters[0] ?? '');
}

function toCommand({ script, keyCount, parameters }: RedisScriptCall, how: 'eval' | 'evalsha' = 'evalsha'): RedisCommand {
  const name = script.readOnly ? (`${how}_ro` as const) : how;
  return [name, how === 'eval' ? script.source : script.sha, String(keyCount), ...parameters];
}

function isForgotten(result: PromiseSettledResult<unknown> | undefined): boolean {
  return result?.status === 'rejected' && result.reason instanceof Error && result.reason.message.startsWith('NOSCRIPT');
}
