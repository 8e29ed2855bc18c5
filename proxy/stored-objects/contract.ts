import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keptForMs, type ObjectOwner, type ObjectPlace, type StoredObjects } from './stored-objects.ts';

export interface StoredObjectsUnderTest {
  readonly objects: StoredObjects;
  /** a second proxy of the same installation; the same one where there is but one */
  readonly others: StoredObjects;
  /** so much time passes; absent where the store has a clock of its own, which then says how long it keeps something yet */
  pass?(ms: number): void;
  lifetimeMs?(): Promise<number>;
  close(): Promise<void>;
}

const a: ObjectOwner = { keyId: 'team-a/app', uid: 'uid-a' };
const place: ObjectPlace = { channelId: 'default/openai', credential: 'main' };
const elsewhere: ObjectPlace = { channelId: 'default/azure', credential: '' };

/** What every store of stored objects must do. */
export function describeStoredObjects(name: string, make: () => Promise<StoredObjectsUnderTest>): void {
  describe(`stored objects: ${name}`, () => {
    let subject: StoredObjectsUnderTest;
    beforeAll(async () => {
      subject = await make();
    });
    afterAll(() => subject.close());

    it('finds what was noted, in the order of the question, from any proxy', async () => {
      const { objects, others } = subject;
      expect(objects.ready).toBe(true);
      expect(await objects.note(a, ['resp_1', 'msg_1'], place)).toBe(true);
      expect(await objects.note(a, ['resp_2'], elsewhere)).toBe(true);
      for (const store of [objects, others])
        expect(await store.find(a, ['resp_2', 'nothing', 'msg_1'])).toEqual({ outcome: 'known', places: [elsewhere, undefined, place] });
    });

    it.each<[string, ObjectOwner]>([
      ['another key of the namespace', { keyId: 'team-a/other', uid: 'uid-other' }],
      ['a key of another namespace', { keyId: 'team-b/app', uid: 'uid-b' }],
      ['a key that was made anew under the same name', { keyId: 'team-a/app', uid: 'uid-anew' }],
    ])('%s finds nothing, forgets nothing and takes nothing over', async (_who, owner) => {
      const { objects } = subject;
      await objects.note(a, ['resp_mine'], place);
      expect(await objects.find(owner, ['resp_mine'])).toEqual({ outcome: 'known', places: [undefined] });
      await objects.forget(owner, ['resp_mine']);
      await objects.note(owner, ['resp_mine'], elsewhere);
      expect(await objects.find(a, ['resp_mine'])).toEqual({ outcome: 'known', places: [place] });
    });

    it('what is noted last of an object counts', async () => {
      const { objects, others } = subject;
      await Promise.all([objects.note(a, ['resp_long', 'msg_long'], place), objects.note(a, ['resp_long'], { ...place, tokens: 1234 })]);
      expect(await others.find(a, ['resp_long', 'msg_long'])).toEqual({ outcome: 'known', places: [{ ...place, tokens: 1234 }, place] });
    });

    it('forgets what was deleted', async () => {
      const { objects, others } = subject;
      await objects.note(a, ['resp_gone', 'resp_stays'], place);
      expect(await objects.forget(a, ['resp_gone', 'never_there'])).toBe(true);
      expect(await others.find(a, ['resp_gone', 'resp_stays'])).toEqual({ outcome: 'known', places: [undefined, place] });
    });

    it('keeps any text as an id apart from any other', async () => {
      const { objects } = subject;
      const ids = ['x', 'x\n', '\nx', 'x y', 'é', 'x'.repeat(500)];
      for (const id of ids) await objects.note(a, [id], { channelId: 'default/c', credential: id });
      expect(await objects.find(a, ids)).toEqual({
        outcome: 'known',
        places: ids.map((id) => ({ channelId: 'default/c', credential: id })),
      });
    });

    it('keeps it for 30 days', async () => {
      const { objects, pass, lifetimeMs } = subject;
      await objects.note(a, ['resp_old'], place);
      if (lifetimeMs !== undefined) {
        expect(await lifetimeMs()).toBeGreaterThan(keptForMs - 60_000);
        expect(await lifetimeMs()).toBeLessThanOrEqual(keptForMs);
        return;
      }
      pass?.(keptForMs - 1);
      expect(await objects.find(a, ['resp_old'])).toMatchObject({ places: [place] });
      pass?.(1);
      expect(await objects.find(a, ['resp_old'])).toMatchObject({ places: [undefined] });
    });
  });
}
