import { describeStoredObjects } from './contract.ts';
import { makeMemoryStoredObjects } from './memory.ts';

describeStoredObjects('memory', async () => {
  let nowMs = 1_000_000;
  const objects = makeMemoryStoredObjects({ now: () => nowMs });
  return {
    objects,
    others: objects,
    pass(ms) {
      nowMs += ms;
    },
    async close() {},
  };
});
