import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tagOf } from './hash-tag.ts';
import { countEvent, dropPastWindows, emptyKeyUsage, type KeyUsage, raiseSpent, resetSpent, takeSpent } from './key-usage.ts';
import {
  formatUsageCheckpoint,
  mergeUsageCheckpoints,
  parseUsageCheckpoint,
  type UsageCheckpoint,
  usageSecretName,
} from './usage-checkpoint.ts';
import type { UsageEvent } from './usage-event.ts';
import { emptyUsage } from './usage.ts';

const keyId = 'team/app';
const atMs = Date.parse('2026-11-22T10:00:00Z');
const event = (change: Partial<UsageEvent> = {}): UsageEvent => ({
  requestId: 'r',
  keyId,
  dialect: 'OpenAI',
  status: 200,
  usage: { ...emptyUsage, inputTokens: 10, cachedInputTokens: 4, outputTokens: 2 },
  costNanoUsd: 7,
  durationMs: 1,
  ...change,
});
const checkpoint = (keys: readonly KeyUsage[], through: Record<string, string> = {}): UsageCheckpoint => ({
  kind: 'usage',
  schema: 1,
  minReader: 1,
  bucket: 3,
  buckets: 64,
  writtenAt: atMs,
  through,
  keys,
});

describe('the usage of a key', () => {
  it('adds up what its requests used', () => {
    let usage = emptyKeyUsage(keyId);
    for (const status of [200, 502, 499, 429]) usage = countEvent(usage, event({ status }), atMs + status);
    expect(usage).toEqual({
      id: keyId,
      requests: 4,
      errors: 2,
      inputTokens: 40,
      cachedInputTokens: 16,
      outputTokens: 8,
      costNanoUsd: 28,
      lastUsedMs: atMs + 502,
      spent: {},
      warned: {},
    });
  });

  it('stays in the integers', () => {
    const usage = { ...emptyKeyUsage(keyId), costNanoUsd: Number.MAX_SAFE_INTEGER - 1 };
    expect(countEvent(usage, event(), atMs).costNanoUsd).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('knows the most that was spent, until it is reset', () => {
    const usage = raiseSpent(
      raiseSpent(emptyKeyUsage(keyId), new Map([['D20779', 900]])),
      new Map([
        ['D20779', 100],
        ['T0', 5],
      ]),
    );
    expect(usage.spent).toEqual({ D20779: 900, T0: 5 });
    expect(raiseSpent(usage, new Map([['D20779', 900]]))).toBe(usage);
    expect(takeSpent(usage, new Map([['D20779', 899]])).spent).toEqual({ D20779: 899, T0: 5 });
    expect(takeSpent(usage, new Map([['T0', 5]]))).toBe(usage);
    const reset = { asked: 'monday', atMs };
    expect(resetSpent({ ...usage, warned: { D20779: 80, T0: 80 } }, ['D20779'], reset)).toMatchObject({
      spent: { T0: 5 },
      warned: { T0: 80 },
      reset,
    });
  });

  it('forgets windows that nobody settles into any more', () => {
    const usage = { ...emptyKeyUsage(keyId), spent: { D20777: 1, D20778: 2, D20779: 3, T0: 4 }, warned: { D20777: 80 } };
    expect(dropPastWindows(usage, atMs)).toMatchObject({ spent: { D20778: 2, D20779: 3, T0: 4 }, warned: {} });
    const kept = dropPastWindows(usage, atMs);
    expect(dropPastWindows(kept, atMs)).toBe(kept);
  });
});

describe('a checkpoint', () => {
  it('is read as it was written, keys in order', () => {
    const usage = { ...countEvent(emptyKeyUsage(keyId), event(), atMs), spent: { T0: 1e15 }, reset: { asked: 'a', atMs } };
    const written = checkpoint([{ ...usage, id: 'z/z' }, usage], { '2a': '5-1' });
    const parsed = parseUsageCheckpoint(formatUsageCheckpoint(written));
    expect(parsed).toEqual({ ok: true, checkpoint: { ...written, keys: written.keys.toReversed() } });
    expect([0, 63].map(usageSecretName)).toEqual(['keywright-usage-00', 'keywright-usage-3f']);
  });

  it.each([
    ['{', 'invalid'],
    ['{}', 'invalid'],
    [JSON.stringify({ ...checkpoint([]), minReader: 2, keys: 'what comes next' }), 'newer'],
    [JSON.stringify(checkpoint([{ ...emptyKeyUsage(keyId), requests: -1 }])), 'invalid'],
    [JSON.stringify(checkpoint([], { '2a': 'yesterday' })), 'invalid'],
  ])('%s is refused as %s', (json, reason) => {
    expect(parseUsageCheckpoint(json)).toMatchObject({ ok: false, reason });
  });

  it('of a newer writer keeps what this one knows', () => {
    const json = JSON.stringify({ ...checkpoint([{ ...emptyKeyUsage(keyId), colour: 'red' } as KeyUsage]), schema: 2, more: 1 });
    expect(parseUsageCheckpoint(json)).toMatchObject({ ok: true, checkpoint: { schema: 2, keys: [emptyKeyUsage(keyId)] } });
  });

  it('merges with another account of the same Streams to the one that has come further, whichever is asked', () => {
    const keys = ['team/a', 'team/b', 'other/c'];
    /** What a writer has after so many entries of each tag. */
    const after = (entries: readonly UsageEvent[], counted: Record<string, number>): UsageCheckpoint => {
      const usages = new Map<string, KeyUsage>();
      const through: Record<string, string> = {};
      const seen: Record<string, number> = {};
      for (const entry of entries) {
        const tag = tagOf(entry.keyId);
        seen[tag] = (seen[tag] ?? 0) + 1;
        if (seen[tag] > (counted[tag] ?? 0)) continue;
        through[tag] = `${seen[tag]}-0`;
        usages.set(entry.keyId, countEvent(usages.get(entry.keyId) ?? emptyKeyUsage(entry.keyId), entry, seen[tag]));
      }
      return checkpoint([...usages.values()], through);
    };
    const tags = [...new Set(keys.map(tagOf))];
    const counts = fc.tuple(fc.nat(12), fc.nat(12)).map(([one, two]) => ({ [tags[0] ?? '']: one, [tags[1] ?? '']: two }));
    const entry = fc.record({ keyId: fc.constantFrom(...keys), status: fc.constantFrom(200, 500), costNanoUsd: fc.nat(9) });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 24 }), counts, counts, (changes, ours, theirs) => {
        const entries = changes.map((change) => event(change));
        const highest = Object.fromEntries(tags.map((tag) => [tag, Math.max(ours[tag] ?? 0, theirs[tag] ?? 0)]));
        const expected = formatUsageCheckpoint(after(entries, highest));
        const [left, right] = [after(entries, ours), after(entries, theirs)];
        expect(formatUsageCheckpoint(mergeUsageCheckpoints(left, right))).toBe(expected);
        expect(formatUsageCheckpoint(mergeUsageCheckpoints(right, left))).toBe(expected);
      }),
    );
  });

  it('keeps the most that either knows to be spent, and the later reset', () => {
    const known = (spent: Record<string, number>, resetMs?: number): UsageCheckpoint =>
      checkpoint([
        { ...emptyKeyUsage(keyId), spent, warned: {}, ...(resetMs !== undefined && { reset: { asked: String(resetMs), atMs: resetMs } }) },
      ]);
    const spentOf = (left: UsageCheckpoint, right: UsageCheckpoint) => mergeUsageCheckpoints(left, right).keys[0]?.spent;
    expect(spentOf(known({ D1: 5, T0: 1 }), known({ D1: 3, M2: 4 }))).toEqual({ D1: 5, T0: 1, M2: 4 });
    expect(spentOf(known({ D1: 5 }, 100), known({ D1: 9 }))).toEqual({ D1: 5 });
    expect(spentOf(known({ D1: 9 }), known({ D1: 5 }, 100))).toEqual({ D1: 5 });
    expect(spentOf(known({ D1: 9 }, 200), known({ D1: 12 }, 100))).toEqual({ D1: 9 });
  });
});
