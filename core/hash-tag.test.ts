import { describe, expect, it } from 'vitest';
import { channelHolder, hashTags, tagOf } from './hash-tag.ts';

describe('hash tags', () => {
  it('are 64, the same for all keys of a namespace and in every version', () => {
    expect(tagOf('team-a/one')).toBe(tagOf('team-a/two'));
    const tags = new Set(Array.from({ length: 2_000 }, (_, number) => tagOf(`namespace-${number}/key`)));
    expect([...tags].toSorted()).toEqual(hashTags);
    for (const tag of tags) expect(tag).toMatch(/^[0-3][0-9a-f]$/);
    // written down, because another hash would lose every count at an upgrade
    expect([tagOf('default/app'), tagOf('team-a/app')]).toEqual(['1e', '16']);
  });

  it('a Channel has one of its own', () => {
    expect(tagOf(channelHolder('team-a/openai'))).toBe('c:team-a/openai');
  });
});
