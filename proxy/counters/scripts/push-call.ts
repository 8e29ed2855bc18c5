import { tagOf } from '../../../core/hash-tag.ts';
import { shapeOf } from '../../../core/limit.ts';
import { windowKey } from '../../../core/limit-keys.ts';
import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import type { OwnWindow } from '../outage/own-charges.ts';
import { loadScript } from './lua-text.ts';

export interface Push {
  readonly keyId: string;
  /** unlike every other push of every process */
  readonly push: string;
  /** the life of the store that it is told to */
  readonly epoch: string;
  readonly windows: readonly OwnWindow[];
  /** what the store had decided as well */
  readonly all: boolean;
}

/** Longer than any proxy tries to send one push. */
const keptMs = 3_600_000;

const pushScript = loadScript('push-back');

/** undefined: there is nothing to tell. `clock`: the text that takes the place of Redis' clock, for tests; '' in production. */
export function toPushCall({ keyId, push, epoch, windows, all }: Push, clock: string): RedisScriptCall | undefined {
  const stem = `kw:{${tagOf(keyId)}}:pushed:${keyId}`;
  const keys = [`${stem}:${push}`, `${stem}:${epoch}`];
  const parameters = [clock, String(keptMs)];
  for (const window of windows) {
    const told = [...window.buckets].filter(([, { here, shared }]) => here > 0 || (all && shared > 0));
    if (told.length === 0) continue;
    const { widthMs, k } = shapeOf(window.span);
    keys.push(windowKey(keyId, window));
    parameters.push(`${window.span} ${window.name}`, String(widthMs), String(k), String(told.length));
    for (const [index, { here, shared, lastMs }] of told) {
      parameters.push(index.toFixed(0), lastMs.toFixed(0), here.toFixed(0), (all ? shared : 0).toFixed(0));
    }
  }
  if (keys.length === 2) return undefined;
  return { script: pushScript, keyCount: keys.length, parameters: [...keys, ...parameters] };
}
