import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { refusePath } from './known-paths.ts';

const modules = join(import.meta.dirname, '../../node_modules');

/** The first segment of every path that an official SDK calls, behind the version. */
function pathsOf(sdk: string, call: RegExp): readonly string[] {
  const files = globSync(join(modules, sdk, 'resources/**/*.mjs'));
  const texts = files.map((file) => readFileSync(file, 'utf8'));
  return [...new Set(texts.flatMap((text) => [...text.matchAll(call)].map(([, segment]) => segment ?? '')))];
}

describe.each([
  { sdk: 'openai', call: /\((?:path)?['`]\/(\w+)/g, root: '/v1', some: ['batches', 'chatkit', 'fine_tuning'] },
  { sdk: '@anthropic-ai/sdk', call: /['`]\/v1\/(\w+)/g, root: '/anthropic/v1', some: ['environments', 'sessions', 'skills'] },
])('what $sdk calls', ({ sdk, call, root, some }) => {
  const segments = pathsOf(sdk, call);

  it('is found', () => {
    expect(segments).toEqual(expect.arrayContaining(some));
  });

  it.each(segments)('%s is known, be it offered or not', (segment) => {
    expect(refusePath(`${root}/${segment}/x`).code).toBe('endpoint_not_supported');
  });
});

it.each([
  '/upload/v1beta/files',
  '/gemini/upload/v1beta/fileSearchStores/x:uploadToFileSearchStore',
  '/v1beta/auth_tokens',
  '/v1beta/cachedContents/x',
  '/v1beta/tuningJobs',
  '/v1beta/dynamic/x:generateContent',
  '/v1/complete',
  '/v1/engines/davinci/completions',
])('%s is known', (path) => {
  expect(refusePath(path).code).toBe('endpoint_not_supported');
});

it.each(['/', '/v1', '/v1/', '/v1/nothing', '/upload', '/uploads/v1beta/files', '/v2/files', '/x/v1/files'])('%s is not', (path) => {
  expect(refusePath(path).code).toBe('not_found');
});
