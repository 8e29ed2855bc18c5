import { readFileSync } from 'node:fs';
import { makeRedisScript, type RedisScript } from '../../../runtime/redis-script.ts';
import { windowScript } from '../../../runtime/window-script.ts';

/** These texts, one behind the other, behind the window that all of our scripts work on. */
export function loadScript(...names: readonly ('admit' | 'budget' | 'peek' | 'push-back' | 'settle' | 'sweep')[]): RedisScript {
  const texts = names.map((name) => readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8'));
  return makeRedisScript([windowScript, ...texts].join('\n'));
}

/** An integer below 2^53, so never in exponent form (JavaScript begins that at 1e21). */
export function toInteger(amount: number): string {
  return String(Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.ceil(amount))));
}
