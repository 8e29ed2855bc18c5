import { describe, expect, it } from 'vitest';
import { parseManifests } from './parse-manifests.ts';

function mistakesOf(text: string): string[] {
  return parseManifests(text, 'a.yaml').mistakes.map(({ line, message }) => `${line}: ${message}`);
}

describe('parseManifests', () => {
  it('gives every document with its line, and finds the line of a field', () => {
    const text =
      '# a key\napiVersion: v1\nkind: Secret\nmetadata:\n  name: one\n---\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: two\n  labels:\n    a: b\n';
    const { objects, mistakes } = parseManifests(text, 'a.yaml');
    expect(mistakes).toEqual([]);
    expect(objects.map(({ object, line }) => [object.metadata.name, line])).toEqual([
      ['one', 2],
      ['two', 8],
    ]);
    expect(objects[1]?.lineOf(['metadata', 'labels', 'a'])).toBe(13);
    expect(objects[1]?.lineOf(['metadata', 'labels'])).toBe(12);
    expect(objects[1]?.lineOf(['spec', 'limits'])).toBe(8);
  });

  it('reads JSON, lists and a byte order mark', () => {
    const text = '\uFEFF{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"one"}}]}';
    expect(parseManifests(text, 'a.json').objects.map(({ object }) => object.metadata.name)).toEqual(['one']);
  });

  it('gives the items of a list of one kind their kind', () => {
    const { objects } = parseManifests(
      '{"apiVersion":"keywright.dev/v1alpha1","kind":"VirtualKeyList","items":[{"metadata":{"name":"one"}}]}',
      'a.json',
    );
    expect(objects.map(({ object }) => object)).toEqual([
      { apiVersion: 'keywright.dev/v1alpha1', kind: 'VirtualKey', metadata: { name: 'one' } },
    ]);
  });

  it('keeps times and merges as kubectl does', () => {
    const text = 'apiVersion: v1\nkind: X\nmetadata: &m { name: a }\nspec: { at: 2030-01-01T00:00:00Z, other: { <<: *m, b: c } }\n';
    expect(parseManifests(text, 'a.yaml').objects[0]?.object).toMatchObject({
      spec: { at: '2030-01-01T00:00:00Z', other: { name: 'a', b: 'c' } },
    });
  });

  it.each([
    ['a key that is there twice', 'kind: a\napiVersion: v1\nkind: b\n', '3: a key is there twice; keys of one mapping must be unique'],
    ['text', 'hello\n', '1: must be an object with apiVersion, kind and metadata'],
    ['no kind', 'apiVersion: v1\nmetadata: { name: a }\n', '1: kind: is required'],
    ['no name', 'apiVersion: v1\nkind: Secret\nmetadata:\n  labels: {}\n', '3: metadata.name: is required'],
    ['a list without items', 'apiVersion: v1\nkind: List\n', '1: a List must have a list of items'],
    ['an unknown tag', 'apiVersion: !secret v1\n', '1: a tag is not known'],
    ['an alias of nothing', 'apiVersion: *v1\n', '1: an alias names no anchor that is set before it'],
  ])('refuses %s', (_name, text, mistake) => {
    expect(mistakesOf(text)).toContain(mistake);
  });

  it.each(['on', 'yes', 'N', 'Off', '0755', '1_000'])('refuses the plain word %s, which YAML 1.1 reads as something else', (word) => {
    expect(mistakesOf(`a: 1\nb:\n  - ${word}\n`)).toEqual([expect.stringMatching(/^3: this value is read by kubectl/)]);
    expect(mistakesOf(`a: 1\n${word}: x\n`)).toEqual([expect.stringMatching(/^2: this key is read by kubectl/)]);
    expect(mistakesOf(`apiVersion: v1\nkind: X\nmetadata: { name: a }\n"${word}": "${word}"\n`)).toEqual([]);
  });

  it('refuses an alias bomb and a deep nest within a bounded effort', () => {
    const bomb = [
      'a0: &a0 [x, x, x, x, x, x, x, x, x, x]',
      ...Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(10)}]`),
    ].join('\n');
    expect(mistakesOf(`${bomb}\n`)).toEqual([expect.stringContaining('expands to too much by aliases')]);
    expect(mistakesOf('['.repeat(20_000)).length).toBeGreaterThan(0);
    expect(mistakesOf('['.repeat(20_000)).length).toBeLessThan(10);
    expect(mistakesOf(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)).toContain('1: is nested too deeply');
  });

  it('never quotes what is written', () => {
    const wrong = [
      'apiKey: "sk-plain\n',
      'a: sk-plain: b\n',
      '- sk-plain\n  b: c\n',
      'sk-plain: 1\nsk-plain: 2\n',
      '%sk-plain\n---\na',
      'a: *sk-plain\n',
      'a: !sk-plain b\n',
      '}sk-plain\n',
    ];
    for (const text of wrong) {
      expect(mistakesOf(text).length).toBeGreaterThan(0);
      expect(mistakesOf(text).join()).not.toContain('sk-plain');
    }
  });
});
