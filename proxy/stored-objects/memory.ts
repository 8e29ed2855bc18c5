import { keptForMs, type ObjectOwner, type ObjectPlace, type StoredObjects } from './stored-objects.ts';

/** Some hundred bytes each; the oldest is forgotten first. */
const mostObjects = 200_000;

/** Of one process: a restart forgets them. */
export function makeMemoryStoredObjects({ now }: { readonly now: () => number }): StoredObjects {
  const objects = new Map<string, { readonly place: ObjectPlace; readonly untilMs: number }>();

  function find(name: string): ObjectPlace | undefined {
    const found = objects.get(name);
    return found !== undefined && now() < found.untilMs ? found.place : undefined;
  }

  return {
    ready: true,
    async note(owner, ids, place) {
      for (const name of ids.map((id) => nameOf(owner, id))) {
        // a Map iterates in order of insertion: inserting again makes it the youngest
        objects.delete(name);
        objects.set(name, { place, untilMs: now() + keptForMs });
        if (objects.size > mostObjects) objects.delete(objects.keys().next().value as string);
      }
      return true;
    },
    async find(owner, ids) {
      return { outcome: 'known', places: ids.map((id) => find(nameOf(owner, id))) };
    },
    async forget(owner, ids) {
      for (const id of ids) objects.delete(nameOf(owner, id));
      return true;
    },
  };
}

function nameOf({ uid }: ObjectOwner, id: string): string {
  return `${uid}\n${id}`;
}
