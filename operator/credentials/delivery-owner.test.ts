import { afterEach, describe, expect, it } from 'vitest';
import { readyOf, World } from '../test-world.ts';

let world = new World();

afterEach(async () => {
  await world.stop();
});

describe('a delivery Secret', () => {
  it('belongs to the key that made it, however often another key of that Secret name is looked at', async () => {
    world = new World();
    await world.start();
    const delivery = { secretName: 'shared' };
    await world.applyKey('first', { delivery });
    await world.advance(10_000);
    const before = await world.secret('shared');
    await world.applyKey('second', { delivery });
    await world.advance(10_000);
    await world.applyKey('first', { delivery, displayName: 'looked at' });
    await world.applyKey('second', { delivery, displayName: 'looked at' });
    await world.advance(200_000);
    expect((await world.secret('shared'))?.data).toEqual(before?.data);
    expect(readyOf(await world.key('first'))).toEqual({ status: 'True', reason: 'Issued' });
    expect(readyOf(await world.key('second'))).toEqual({ status: 'False', reason: 'SecretNotOwned' });
    expect(world.reasons()).toEqual(['KeyIssued', 'SecretNotOwned']);
  });

  it.each<Record<string, string>>([{}, { 'keywright.dev/key': 'a' }])(
    'that is somebody else’s, labelled %o, is asked about again until its name is free',
    async (labels) => {
      world = new World();
      await world.start();
      await world.applySecret('a-virtualkey', { apiKey: 'x' }, { labels });
      await world.applyKey('a');
      await world.advance(10_000);
      expect(readyOf(await world.key('a'))).toEqual({ status: 'False', reason: 'SecretNotOwned' });
      await world.cluster.delete({ kind: 'Secret', namespace: 'team', name: 'a-virtualkey' });
      // a watch tells of a labelled one; of any other nobody does
      await world.advance('keywright.dev/key' in labels ? 5_000 : 120_000);
      expect(readyOf(await world.key('a'))).toEqual({ status: 'True', reason: 'Issued' });
    },
  );
});
