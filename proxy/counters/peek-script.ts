import { shapeOf } from '../../core/limit.ts';
import type { RedisScriptCall } from '../../runtime/redis-script.ts';
import type { PeekQuestion } from './counters.ts';
import type { Reading } from './peek.ts';
import { loadScript, slotsKey, windowKey } from './scripts.ts';

const peekScript = loadScript('peek');

/** @param clock takes the place of Redis' clock, for tests; '' in production */
export function toPeekCall({ keyId, windows }: PeekQuestion, clock: string): RedisScriptCall {
  const keys = [slotsKey(keyId), ...windows.map((window) => windowKey(keyId, window))];
  const shapes = windows.flatMap(({ span }) => {
    const { widthMs, k } = shapeOf(span);
    return [String(widthMs), String(k)];
  });
  return { script: peekScript, keyCount: keys.length, parameters: [...keys, clock, ...shapes] };
}

/** Reads peek.lua's answer. A shape that it does not give is a bug and throws. */
export function toReading(reply: unknown): Reading {
  if (!Array.isArray(reply)) throw new TypeError('peek.lua gave no array');
  const [timeMs, inFlight, ...rest] = reply as number[];
  const windows = Array.from({ length: rest.length / 2 }, (_, index) => ({
    used: rest[index * 2] ?? 0,
    emptyInMs: rest[index * 2 + 1] ?? 0,
  }));
  return { timeMs: timeMs ?? 0, inFlight: inFlight ?? 0, windows };
}
