import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../support/child.ts';

/** Nothing above it holds a node_modules, so that an image's files find only what they bring. */
const dist = mkdtempSync(join(tmpdir(), 'keywright-test-dist-'));

beforeAll(async () => {
  await runCommand('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json', '--outDir', dist]);
  await runCommand(process.execPath, ['build/assemble.ts', dist, 'operator', 'proxy']);
}, 120_000);
afterAll(() => {
  rmSync(dist, { recursive: true, force: true });
}, 120_000);

function run(image: string, words: readonly string[], environment: Record<string, string> = {}): { code: number | null; output: string } {
  const program = join(dist, 'images', image, 'cli', 'keywright.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], {
    encoding: 'utf8',
    env: { HOME: dist, ...environment },
  });
  return { code: status, output: stdout + stderr };
}

function filesOf(image: string): string[] {
  return readdirSync(join(dist, 'images', image), { recursive: true, encoding: 'utf8' });
}

describe('what is built', () => {
  it('is JavaScript that plain Node runs, without a flag and without a warning', () => {
    for (const image of ['operator', 'proxy']) expect(run(image, ['version'])).toEqual({ code: 0, output: '0.1.0\n' });
    expect(filesOf('operator').filter((file) => /(?<!\.d)\.ts$/.test(file) && !file.startsWith('node_modules'))).toEqual([]);
  });

  it('loads its command whole, and tells its mistakes', () => {
    expect(run('operator', ['operator'])).toMatchObject({ code: 64, output: expect.stringContaining('KEYWRIGHT_PUBLIC_URL is required') });
    expect(run('proxy', ['proxy'])).toMatchObject({ code: 64, output: expect.stringContaining('KEYWRIGHT_REDIS_URL is required') });
  });

  it('leaves no Kubernetes client in the image of the proxy, and nothing of the operator', () => {
    const files = filesOf('proxy');
    expect(
      files.filter((file) => file.includes('@kubernetes') || file.split(sep)[0] === 'operator' || file.split(sep)[0] === 'standalone'),
    ).toEqual([]);
    expect(filesOf('operator').some((file) => file.includes('@kubernetes'))).toBe(true);
    expect(filesOf('operator').filter((file) => file.split(sep)[0] === 'proxy')).toEqual([]);
  });

  it('brings what is read at run time', () => {
    const brought = [['proxy', 'proxy/counters/scripts'], ...['operator', 'proxy'].map((image) => [image, 'runtime'])] as const;
    for (const [image = '', folder = ''] of brought) {
      const scripts = readdirSync(folder).filter((name) => name.endsWith('.lua'));
      expect(scripts, folder).not.toEqual([]);
      for (const script of scripts) expect(existsSync(join(dist, 'images', image, folder, script)), `${image}: ${script}`).toBe(true);
    }
  });

  it('says so when an image does not have a command', () => {
    expect(run('proxy', ['operator'])).toEqual({
      code: 1,
      output: 'keywright: this image does not have that command; the image keywright has all of them\n',
    });
  });

  it('starts by the same script as from source', async () => {
    expect(await runCommand(join(dist, 'bin', 'keywright'), ['version'])).toBe('0.1.0\n');
  });
});

describe('make images', () => {
  it('takes base images by digest only, and says what is missing', () => {
    const { status, stderr } = spawnSync('bash', ['build/images.sh'], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], NODE_BUILD_IMAGE: 'docker.io/library/node:24', REGISTRY: 'registry.example.com' },
    });
    expect(status).toBe(64);
    expect(stderr).toContain('NODE_BUILD_IMAGE is required and must end in @sha256:');
    expect(stderr).toContain('NODE_RUNTIME_IMAGE is required');
    expect(stderr).not.toContain('REGISTRY');
  });
});
