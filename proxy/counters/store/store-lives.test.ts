import { expect, it } from 'vitest';
import { untilHolds } from '../../../test/support/eventually.ts';
import type { RedisScriptCall } from '../../../runtime/redis-script.ts';
import { lifeKey, makeStoreLives } from './store-lives.ts';

it('one master that hangs is no reason to miss that another was emptied', async () => {
  let isHung = false;
  let life = 'first';
  const another: (readonly string[])[] = [];
  const lives = makeStoreLives({
    runAll: async (calls: readonly RedisScriptCall[]) => {
      if (isHung && calls.some(({ parameters: [key] }) => key === lifeKey('00'))) return new Promise(() => {});
      return calls.map(() => ({ status: 'fulfilled', value: life }));
    },
    readyFor: () => true,
    masterOf: (tag) => (tag === '00' ? 'silent' : 'sound'),
    onBegan: () => {},
    onAnother: async (tags) => another.push(tags),
  });
  lives.used('00');
  lives.used('20');
  await untilHolds(() => expect([lives.of('00'), lives.of('20')]).toEqual(['first', 'first']));
  isHung = true;
  // a look that is never answered
  void lives.look();
  await new Promise((resolve) => setTimeout(resolve, 300));
  life = 'second';
  await untilHolds(() => expect(another).toEqual([['20']]));
  lives.stop();
});
