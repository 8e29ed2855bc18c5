import { expect, it } from 'vitest';
import { emptyUsage } from '../core/usage.ts';
import { makeMemoryCounters } from '../proxy/counters/memory.ts';
import { makeMemoryUsage } from './memory-usage.ts';

it('hands out each entry until it was read and holds it no longer, acknowledged or not', async () => {
  const usage = makeMemoryUsage({ now: () => 1_000, after: [] });
  const { source } = usage.toFeed(makeMemoryCounters({ now: () => 1_000 }));
  const take = (requestId: string) =>
    usage.take({ requestId, keyId: 'team/app', dialect: 'OpenAI', status: 200, usage: emptyUsage, durationMs: 1 });
  const read = async (positions: ReadonlyMap<string, string>) =>
    (await source.read(positions)).flatMap(({ tag, entries }) => entries.map(({ id, event }) => ({ tag, id, name: event?.requestId })));
  take('a');
  take('b');
  const [first, second] = await read(new Map());
  if (first === undefined || second === undefined) throw new Error('no entries');
  expect([first.name, second.name]).toEqual(['a', 'b']);
  // read, and not taken: it is handed out again
  expect(await read(new Map([[first.tag, first.id]]))).toEqual([second]);
  take('c');
  expect((await read(new Map([[first.tag, second.id]]))).map(({ name }) => name)).toEqual(['c']);
  // nothing is kept of what its reader has
  expect((await read(new Map())).map(({ name }) => name)).toEqual(['c']);
});
