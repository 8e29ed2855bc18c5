import { describe, expect, it } from 'vitest';
import { tagOf } from '../../core/hash-tag.ts';
import { toAdmitCall, toDecision } from './scripts.ts';

describe('script calls', () => {
  it('declare all their keys first', () => {
    const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
    const windows = [{ name: 'tpd', unit: 'tokens', span: 'day', limit: 10, shadow: true }] as const;
    const { keyCount, parameters } = toAdmitCall({ requestId: 'r1', keyId: 'n/k', bearer, windows, tokens: 99, holdMs: 1_000 }, '');
    const tag = tagOf('n/k');
    expect(parameters.slice(0, keyCount)).toEqual([
      `kw:{${tag}}:request:n/k:r1`,
      `kw:{${tag}}:slots:n/k`,
      `kw:{${tag}}:day:n/k:tpd`,
      `kw:{${tag}}:revocations`,
    ]);
    expect(parameters.slice(keyCount)).toEqual([
      '',
      'r1',
      '1000',
      '-1',
      '',
      'tpd',
      '900000',
      '96',
      '10',
      '10',
      'T',
      'n/k one',
      'n/k *',
      '5',
      'aaaaaaaaaaaa',
    ]);
  });

  it('read the answers of admit.lua', () => {
    expect(toDecision([1, 5, '1,0,', 7, 8])).toEqual({ admitted: true, timeMs: 5, used: [7, 8], shadowRefusals: [0, -1] });
    expect(toDecision([0, 5, 2, 900, 7, 8])).toEqual({ admitted: false, timeMs: 5, used: [7, 8], refusing: 1, waitMs: 900 });
    expect(() => toDecision('OK')).toThrow(TypeError);
  });
});
