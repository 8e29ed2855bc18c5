import { describe, expect, it } from 'vitest';
import { runRevoke } from './revoke.ts';

const redis = { KEYWRIGHT_REDIS_URL: 'redis://user:hidden@127.0.0.1:1' };

async function run(argv: string[], environment: Record<string, string> = redis, answer?: string) {
  const printed: string[] = [];
  const complaints: string[] = [];
  const code = await runRevoke(argv, environment, {
    print: (line) => void printed.push(line),
    complain: (line) => void complaints.push(line),
    ask: async () => answer,
  });
  return { code, printed, complaints: complaints.join('\n') };
}

describe('keywright revoke', () => {
  it('without --break-glass says what to do where there is a cluster', async () => {
    const { code, complaints } = await run(['team/app']);
    expect(code).toBe(64);
    expect(complaints).toContain(`kubectl patch virtualkey app -n team --type=merge -p '{"spec":{"revoked":true}}'`);
  });

  it('says every mistake at once', async () => {
    const { code, complaints } = await run(['App', 'more', '--break-glass', '--force'], { KEYWRIGHT_REDIS_URL: 'http://user:hidden@host' });
    expect(code).toBe(64);
    for (const part of ['unknown flag --force', '"App"', '"more"', 'KEYWRIGHT_REDIS_URL']) expect(complaints).toContain(part);
    expect(complaints).not.toContain('hidden');
    expect((await run(['--break-glass'], {})).complaints).toContain('NAMESPACE/NAME');
  });

  it('wants the name typed once more, or --yes where there is nobody to ask', async () => {
    expect(await run(['team/app', '--break-glass'], redis, 'other')).toMatchObject({
      code: 64,
      complaints: expect.stringContaining('nothing was revoked'),
    });
    expect(await run(['team/app', '--break-glass'])).toMatchObject({ code: 64, complaints: expect.stringContaining('--yes') });
  });

  it('says so when Redis cannot be reached, and nothing of the password', async () => {
    for (const answer of [
      ['team/app', '--break-glass', '--yes'],
      ['team/app', '--break-glass'],
    ]) {
      const { code, printed, complaints } = await run(answer, redis, 'app');
      expect([code, printed]).toEqual([69, []]);
      expect(complaints).toContain('NOT revoked');
      expect(complaints).toContain('ECONNREFUSED');
      expect(complaints).not.toContain('hidden');
    }
  }, 30_000);
});
