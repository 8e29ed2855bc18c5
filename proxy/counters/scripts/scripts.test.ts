import { describe, expect, it } from 'vitest';
import { tagOf } from '../../../core/hash-tag.ts';
import { toAdmitCall, toDecisions } from './scripts.ts';

describe('script calls', () => {
  it('declare all their keys first, each once', () => {
    const bearer = { uid: 'one', gen: 5, credentialId: 'aaaaaaaaaaaa' };
    const tpd = { name: 'tpd', unit: 'tokens', span: 'day', limit: 10, shadow: true } as const;
    const rpm = { name: 'rpm', unit: 'requests', span: 'minute', limit: 7, shadow: false } as const;
    const first = { requestId: 'r1', keyId: 'n/k', bearer, windows: [tpd], tokens: 99, holdMs: 1_000 };
    const second = {
      ...first,
      requestId: 'r2',
      windows: [rpm, tpd],
      tokens: 3,
      concurrency: { limit: 4, shadow: true },
      lease: { requests: 1, forMs: 250 },
    };
    const { keyCount, parameters } = toAdmitCall([first, second], '', '', 'a-life');
    const stem = `kw:{${tagOf('n/k')}}`;
    expect(parameters.slice(0, keyCount)).toEqual([
      `${stem}:revocations`,
      `${stem}:day:n/k:tpd`,
      `${stem}:minute:n/k:rpm`,
      `${stem}:request:n/k:r1`,
      `${stem}:slots:n/k`,
      `${stem}:request:n/k:r2`,
      `${stem}:life`,
    ]);
    const windows = ['', '2', 'tpd', '900000', '96', 'rpm', '2000', '30'];
    const who = ['n/k one', 'n/k *', '5', 'aaaaaaaaaaaa'];
    const firstAsks = ['4', '5', 'r1', '1000', '-1', '', ...who, '1', '0', '1', '10', '10', 'T', '0'];
    const secondAsks = ['6', '5', 'r2', '1000', '4', '1', ...who, '2', '250', '2', '7', '1', 'r', '1', '10', '3', 'T', '0'];
    expect(parameters.slice(keyCount)).toEqual([...windows, ...firstAsks, ...secondAsks, 'a-life']);
  });

  it('read the answers of admit.lua', () => {
    const admitted = { admitted: true, timeMs: 5, used: [7, 8], shadowRefusals: [0, -1] };
    const refused = { admitted: false, timeMs: 5, used: [7, 8], refusing: 1, waitMs: 900 };
    const overruled = { overruled: true, timeMs: 5, stands: ['', '6 Revoked'] };
    const reply = [
      [1, 5, '1,0,', 7, 8],
      [0, 5, 2, 900, 7, 8],
      [2, 5, '', '6 Revoked'],
      [5, 5],
    ];
    expect(toDecisions(reply, 4)).toEqual([admitted, refused, overruled, { moved: true, timeMs: 5 }]);
    expect(() => toDecisions('OK', 1)).toThrow(TypeError);
    expect(() => toDecisions(reply, 2)).toThrow(TypeError);
    expect(() => toDecisions(['OK'], 1)).toThrow(TypeError);
  });
});
