import { describe, expect, it } from 'vitest';
import { hasShard, parseHeartbeat, toHeartbeatContent } from './heartbeat.ts';

const revisions = ['0123456789abcdef', 'fedcba9876543210'];
const beat = parseHeartbeat('pod-1', `1700000000000 ${toHeartbeatContent({ epoch: 3, revisions })}`);

describe('a heartbeat', () => {
  it('says which revision of which bucket is in force', () => {
    if (beat === undefined) throw new Error('not read');
    expect(beat).toMatchObject({ proxy: 'pod-1', untilMs: 1_700_000_000_000, epoch: 3 });
    expect(hasShard(beat, { epoch: 3, bucket: 1, revision: 'fedcba9876543210' })).toBe(true);
    expect(hasShard(beat, { epoch: 3, bucket: 0, revision: 'fedcba9876543210' })).toBe(false);
    expect(hasShard(beat, { epoch: 2, bucket: 1, revision: 'fedcba9876543210' })).toBe(false);
    expect(hasShard(beat, { epoch: 3, bucket: 2, revision: '' })).toBe(false);
  });

  it.each(['', 'x', '1 2', '1 2 xyz', '-1 2 ab', '1 2 0123456789'])('that nobody writes is not read: %s', (text) => {
    expect(parseHeartbeat('pod-1', text)).toBeUndefined();
  });
});
