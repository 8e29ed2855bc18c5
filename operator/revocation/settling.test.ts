import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Settlement } from './heartbeats.ts';
import { settleMs, startMs, World } from '../test-world.ts';

let world: World;
let settlement: Settlement;
let tell: () => void;
let deliveredAfterMs: number | undefined;

beforeEach(() => {
  world = new World();
  settlement = 'waiting';
  deliveredAfterMs = undefined;
  world.heartbeats = {
    settlementOf: () => settlement,
    onChange: (listener) => void (tell = listener),
    stop() {},
  };
  world.onWrite = ({ name }) => {
    if (name === 'a-virtualkey') deliveredAfterMs ??= world.nowMs - startMs;
    return undefined;
  };
});
afterEach(() => world.stop());

async function issue(): Promise<void> {
  await world.start();
  await world.applyKey('a');
}

describe('a new key is delivered', () => {
  it('as soon as every living proxy says that it has it, and not before', async () => {
    await issue();
    await world.advance(10_000);
    expect(deliveredAfterMs).toBeUndefined();
    settlement = 'settled';
    tell();
    await world.advance(0);
    expect(deliveredAfterMs).toBe(10_000);
  });

  it('at once where the proxies say so at once', async () => {
    settlement = 'settled';
    await issue();
    await world.advance(10_000);
    // the time that changes of the snapshot wait for each other
    expect(deliveredAfterMs).toBeLessThan(1_000);
  });

  it('after the settle time where no proxy says anything', async () => {
    settlement = 'unknown';
    await issue();
    await world.advance(10_000);
    expect(deliveredAfterMs).toBeGreaterThanOrEqual(settleMs);
    expect(deliveredAfterMs).toBeLessThan(settleMs + 1_000);
  });

  it('after half a minute although a proxy lives that does not get it', async () => {
    await issue();
    await world.advance(29_000);
    expect(deliveredAfterMs).toBeUndefined();
    await world.advance(4_000);
    expect(deliveredAfterMs).toBeGreaterThanOrEqual(30_000);
  });

  it('when the last proxy that did not have it has gone silent', async () => {
    await issue();
    await world.advance(5_000);
    settlement = 'unknown';
    tell();
    await world.advance(0);
    expect(deliveredAfterMs).toBe(5_000);
  });
});
