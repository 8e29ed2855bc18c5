import { describe, expect, it } from 'vitest';
import { parseStandaloneOptions } from './options.ts';

describe('the command line of standalone', () => {
  it('takes all flags', () => {
    const parsed = parseStandaloneOptions([
      '--manifests',
      'm',
      '--listen',
      '127.0.0.1:0',
      '--admin=127.0.0.1:0',
      '--redis',
      'redis://h',
      '--state',
      's',
    ]);
    expect(parsed).toEqual({
      ok: true,
      flags: { listen: '127.0.0.1:0', admin: '127.0.0.1:0', redis: 'redis://h' },
      manifests: 'm',
      options: { manifests: 'm', state: 's', fakeProvider: undefined },
    });
  });

  it('keeps its state beside the caller by default', () => {
    expect(parseStandaloneOptions(['--manifests', 'm'])).toMatchObject({ ok: true, options: { state: './.keywright' } });
  });

  it('names every mistake at once', () => {
    const parsed = parseStandaloneOptions(['--listn', 'x', '--state', 'stray', 'word']);
    expect(parsed).toMatchObject({ ok: false });
    const mistakes = parsed.ok ? [] : parsed.mistakes;
    expect(mistakes.join('\n')).toMatch(/unknown flag --listn; allowed: --manifests/);
    expect(mistakes.join('\n')).toMatch(/unexpected argument "word"/);
    expect(mistakes.join('\n')).toMatch(/--manifests is required/);
  });

  it('refuses a flag without its value', () => {
    const parsed = parseStandaloneOptions(['--manifests']);
    expect(parsed).toMatchObject({ ok: false, mistakes: ['--manifests needs a value'] });
  });
});
