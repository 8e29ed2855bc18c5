import { createHash } from 'node:crypto';

/** A Lua script, known to Redis by the hash of its text, so that versions run side by side. */
export interface RedisScript {
  readonly source: string;
  readonly sha: string;
}

/** One call of a script: all its keys, declared, and its arguments. */
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
