import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256Hex } from '../../runtime/digest.ts';
import { holdsHash, mergeHashes, parseRevokedIndex, parseRevokedShard, shardOf, toRevokedIndex, toRevokedShard } from './revoked-shards.ts';

const hashes = Array.from({ length: 2_000 }, (_, index) => sha256Hex(String(index)));

describe('shards of revoked hashes', () => {
  it('hold what was put into them, in whatever order and however often', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.constantFrom(...hashes.slice(0, 50)))), (batches) => {
        const merged = batches.reduce<Uint8Array>((known, batch) => mergeHashes(known, batch), new Uint8Array());
        const added = new Set(batches.flat());
        expect(merged.length).toBe(added.size * 32);
        for (const hash of hashes.slice(0, 60)) expect(holdsHash(merged, hash)).toBe(added.has(hash));
      }),
    );
  });

  it('are written and read again, and refused when they are damaged', () => {
    const own = hashes.filter((hash) => shardOf(hash) === 7);
    const secret = toRevokedShard(7, mergeHashes(new Uint8Array(), own), 'system');
    expect(parseRevokedShard(secret)).toMatchObject({ number: 7 });
    const damage = (change: (bytes: Buffer) => Buffer) =>
      parseRevokedShard({ ...secret, data: { hashes: change(Buffer.from(secret.data?.['hashes'] ?? '', 'base64')).toString('base64') } });
    expect(damage((bytes) => bytes)).toBeDefined();
    expect(damage((bytes) => bytes.subarray(1))).toBeUndefined();
    expect(damage((bytes) => Buffer.concat([bytes.subarray(32, 64), bytes.subarray(0, 32)]))).toBeUndefined();
    expect(damage((bytes) => Buffer.concat([bytes, bytes.subarray(0, 32)]))).toBeUndefined();
    expect(parseRevokedShard({ ...secret, type: 'Opaque' })).toBeUndefined();
    expect(parseRevokedShard({ ...secret, metadata: { name: 'revoked-08' } })).toBeUndefined();
  });

  it('stay well below a Secret’s 1 MiB with half a million hashes', () => {
    const counts = new Map<number, number>();
    for (let index = 0; index < 500_000; index += 1) {
      const number = shardOf(sha256Hex(`n${index}`));
      counts.set(number, (counts.get(number) ?? 0) + 1);
    }
    expect(counts.size).toBe(64);
    expect(Math.max(...counts.values()) * 32).toBeLessThan(300_000);
  });

  it('are named by an index that is read only whole', () => {
    const secret = toRevokedIndex({ shards: [1, 63], firstGeneration: 5 }, 'system');
    expect(parseRevokedIndex(secret)).toEqual({ shards: [1, 63], firstGeneration: 5 });
    expect(parseRevokedIndex({ ...secret, data: { index: 'e30=' } })).toBeUndefined();
    expect(parseRevokedIndex({ ...secret, data: { index: 'ew==' } })).toBeUndefined();
  });
});
