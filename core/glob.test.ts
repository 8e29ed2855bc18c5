import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileGlobs } from './glob.ts';

/** The definition, without any thought of time. */
function matchesNaively(glob: string, text: string): boolean {
  if (glob === '') return text === '';
  if (glob[0] === '*') return matchesNaively(glob.slice(1), text) || (text !== '' && matchesNaively(glob, text.slice(1)));
  return text !== '' && (glob[0] === '?' || glob[0] === text[0]) && matchesNaively(glob.slice(1), text.slice(1));
}

describe('compileGlobs', () => {
  it.each([
    ['gpt-4o', 'gpt-4o', true],
    ['gpt-4o', 'gpt-4o-mini', false],
    ['gpt-4o*', 'gpt-4o', true],
    ['gpt-4o*', 'gpt-4o-mini', true],
    ['gpt-4o*', 'ft:gpt-4o', false],
    ['gpt-?', 'gpt-4', true],
    ['gpt-?', 'gpt-', false],
    ['GPT-4', 'gpt-4', false],
    ['*', 'anything', true],
    ['claude.4', 'claude-4', false],
    ['*/llama-*', 'meta/llama-3', true],
  ])('%s and %s: %s', (glob, text, expected) => expect(compileGlobs([glob])(text)).toBe(expected));

  it('matches when one of them does, and never when there is none', () => {
    const matches = compileGlobs(['o3', 'gpt-*']);
    expect(['o3', 'gpt-5', 'o4'].map(matches)).toEqual([true, true, false]);
    expect(compileGlobs([])('')).toBe(false);
  });

  it('agrees with the definition', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?'), maxLength: 8 });
    const texts = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 10 });
    fc.assert(
      fc.property(letters, texts, (glob, text) => {
        expect(compileGlobs([glob])(text)).toBe(matchesNaively(glob, text));
      }),
      { numRuns: 5000 },
    );
  });

  it('does not go through all ways to place its stars', () => {
    // With back-tracking this takes longer than the universe has been there.
    expect(compileGlobs([`${'*a'.repeat(60)}b`])('a'.repeat(128))).toBe(false);
  });
});
