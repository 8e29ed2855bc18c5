import { describe, expect, it } from 'vitest';
import { isNewerVersion, liesBefore } from './resource-version.ts';

describe('resource versions', () => {
  it.each([
    ['10', '9', true],
    ['9', '10', false],
    ['10', '10', false],
    ['99999999999999999999', '9007199254740993', true],
    ['abc', '10', true],
    ['abc', 'abc', false],
  ])('%s is newer than %s: %s', (version, than, newer) => expect(isNewerVersion(version, than)).toBe(newer));

  it.each([
    ['9', '10', true],
    ['10', '10', false],
    ['11', '10', false],
    ['', '10', false],
    ['abc', '10', false],
  ])('a bookmark of %s lies before %s: %s', (bookmark, begin, before) => expect(liesBefore(bookmark, begin)).toBe(before));
});
