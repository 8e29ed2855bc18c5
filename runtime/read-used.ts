import { readFileSync } from 'node:fs';
import { makeRedisScript, type RedisScriptCall } from './redis-script.ts';
import { windowScript } from './window-script.ts';

/** Run as one that cannot write, so that whoever may only read what is counted may call it. */
const usedScript = makeRedisScript(`${windowScript}\n${readFileSync(new URL('./used.lua', import.meta.url), 'utf8')}`, { readOnly: true });

/** Something that is counted: a window, or without a shape the requests in flight. */
export interface Counted {
  readonly key: string;
  readonly shape?: { readonly widthMs: number; readonly k: number };
}

/** Asks how much of each counts at this moment. All of one hash tag. @param clock takes the place of Redis' clock, for tests; '' in production */
export function toUsedCall(counted: readonly Counted[], clock = ''): RedisScriptCall {
  const shapes = counted.flatMap(({ shape }) => [String(shape?.widthMs ?? 0), String(shape?.k ?? 0)]);
  return { script: usedScript, keyCount: counted.length, parameters: [...counted.map(({ key }) => key), clock, ...shapes] };
}

/** In the order of the question. A shape that used.lua does not give is a bug and throws. */
export function toUsed(reply: unknown, count: number): readonly number[] {
  if (!Array.isArray(reply) || reply.length !== count) throw new TypeError('used.lua gave no number for each key');
  return reply as number[];
}
