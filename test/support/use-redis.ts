import { afterAll, beforeAll, beforeEach } from 'vitest';
import { startRedis, type TestRedis } from './redis.ts';

/** One Redis for all tests of the file that calls this, from the first of them on; each begins with nothing in it. */
export function useRedis(): Omit<TestRedis, 'stop'> {
  let started: TestRedis | undefined;
  const running = (): TestRedis => {
    if (started === undefined) throw new Error('Redis is there when the tests of the file begin');
    return started;
  };
  beforeAll(async () => {
    started = await startRedis();
  });
  afterAll(() => started?.stop());
  beforeEach(async () => {
    await running().cli('FLUSHALL');
  });
  return {
    get url() {
      return running().url;
    },
    kill: () => running().kill(),
    start: () => running().start(),
    pause: () => running().pause(),
    resume: () => running().resume(),
    cli: (...command) => running().cli(...command),
  };
}
