import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

/** file → what it must not import. The linter reads them in a copy of the layout, so that the work tree stays as it is. */
const forbidden: readonly (readonly [file: string, specifier: string])[] = [
  ['core/a.ts', 'node:crypto'],
  ['core/a.ts', 'pino'],
  ['core/a.ts', '../runtime/log.ts'],
  ['core/a.ts', '../proxy/x.ts'],
  ['core/a.ts', '../test/x.ts'],
  ['runtime/a.ts', '../core/secret.ts'],
  ['runtime/a.ts', '../operator/x.ts'],
  ['runtime/a.ts', '@kubernetes/client-node'],
  ['runtime/a.ts', 'ioredis'],
  ['runtime/redis-connection.ts', '../core/secret.ts'],
  ['runtime/redis-connection.ts', '@kubernetes/client-node'],
  ['operator/a.ts', '../proxy/x.ts'],
  ['operator/translate/a.ts', '../../proxy/counters/counters.ts'],
  ['operator/a.ts', '../standalone/x.ts'],
  ['operator/a.ts', '@kubernetes/client-node'],
  ['operator/cluster/a.ts', '@kubernetes/client-node'],
  ['operator/cluster/kubernetes/a.ts', '../../../proxy/x.ts'],
  ['operator/cluster/kubernetes/a.ts', 'ioredis'],
  ['operator/a.ts', 'ioredis'],
  ['operator/a.ts', '../test/support/redis.ts'],
  ['proxy/a.ts', '../operator/cluster/cluster.ts'],
  ['proxy/stages/a.ts', '../../operator/x.ts'],
  ['proxy/a.ts', '@kubernetes/client-node'],
  ['proxy/a.ts', 'ioredis'],
  ['proxy/counters/redis.ts', 'ioredis'],
  ['proxy/counters/redis.ts', '@kubernetes/client-node'],
  ['proxy/counters/redis.ts', '../../operator/x.ts'],
  ['proxy/counters/redis.ts', '../../test/support/redis.ts'],
  ['proxy/a.ts', '../test/support/redis.ts'],
  ['proxy/stages/a.ts', '../pipeline.ts'],
  ['proxy/stages/a.ts', '../intake/front-door.ts'],
  ['proxy/attempts/a.ts', '../stages/forward.ts'],
  ['proxy/attempts/a.ts', '../../operator/x.ts'],
  ['proxy/answers/a.ts', '../attempts/attempt.ts'],
  ['proxy/reservations/a.ts', '../stages/admit.ts'],
  ['proxy/reservations/a.ts', 'ioredis'],
  ['proxy/counters/store/a.ts', '../../exchange.ts'],
  ['proxy/dialects/openai/a.ts', '../../parts.ts'],
  ['proxy/channels/a.ts', '../attempts/attempt.ts'],
  ['proxy/upstream/a.ts', '../proxy-metrics.ts'],
  ['proxy/snapshot/a.ts', '@kubernetes/client-node'],
  ['standalone/a.ts', '../test/support/redis.ts'],
  ['standalone/a.ts', '@kubernetes/client-node'],
  ['operator/a.test.ts', '../proxy/x.ts'],
  ['proxy/counters/contract.ts', '../../operator/x.ts'],
  ['cli/a.ts', 'ioredis'],
  ['cli/a.ts', '../bench/x.ts'],
];

const allowed: readonly (readonly [file: string, specifier: string])[] = [
  ['core/a.ts', './secret.ts'],
  ['core/a.test.ts', 'vitest'],
  ['runtime/a.ts', 'node:crypto'],
  ['runtime/a.ts', 'pino'],
  ['runtime/redis-connection.ts', 'ioredis'],
  ['operator/a.ts', '../core/secret.ts'],
  ['operator/a.ts', '../runtime/log.ts'],
  ['operator/cluster/kubernetes/a.ts', '@kubernetes/client-node'],
  ['operator/a.test.ts', '../test/support/eventually.ts'],
  ['proxy/a.ts', '../runtime/log.ts'],
  ['proxy/a.ts', 'undici'],
  ['proxy/stages/a.ts', '../attempts/attempt.ts'],
  ['proxy/attempts/a.ts', '../answers/answer.ts'],
  ['proxy/intake/a.ts', '../pipeline.ts'],
  ['proxy/counters/a.ts', './answers.ts'],
  ['proxy/upstream/a.ts', '../headers.ts'],
  ['proxy/dialects/a.test.ts', '../exchange.ts'],
  ['proxy/counters/redis.test.ts', '../../test/support/redis.ts'],
  ['standalone/a.ts', '../operator/operator.ts'],
  ['standalone/a.ts', '../proxy/server.ts'],
  ['cli/a.ts', '../standalone/main.ts'],
  ['test/e2e/a.ts', '../../proxy/main.ts'],
];

const copy = mkdtempSync(join(tmpdir(), 'keywright-test-borders-'));
let complaints: Map<string, string>;

beforeAll(() => {
  copyFileSync(join(root, '.oxlintrc.json'), join(copy, '.oxlintrc.json'));
  const files = new Map<string, string[]>();
  for (const [file, specifier] of [...forbidden, ...allowed]) files.set(file, [...(files.get(file) ?? []), specifier]);
  for (const [file, specifiers] of files) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    // one import a line: the line number of a complaint tells which
    writeFileSync(join(copy, file), specifiers.map((specifier, index) => `export * as name${index} from '${specifier}';\n`).join(''));
  }
  const { stdout, stderr } = spawnSync(join(root, 'node_modules', '.bin', 'oxlint'), ['--format=json'], { cwd: copy, encoding: 'utf8' });
  if (!stdout.startsWith('{')) throw new Error(`oxlint said: ${stdout}${stderr}`);
  complaints = new Map(toComplaints(stdout).map(({ file, line, message }) => [`${file} ${files.get(file)?.[line - 1] ?? ''}`, message]));
});
afterAll(() => {
  rmSync(copy, { recursive: true, force: true });
});

test.each(forbidden)('%s must not import %s', (file, specifier) => {
  expect(complaints.get(`${file} ${specifier}`)).toBeDefined();
});

test.each(allowed)('%s may import %s', (file, specifier) => {
  expect(complaints.get(`${file} ${specifier}`)).toBeUndefined();
});

interface Complaint {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

function toComplaints(report: string): Complaint[] {
  const { diagnostics } = JSON.parse(report) as {
    diagnostics: { code: string; message: string; filename: string; labels: { span: { line: number } }[] }[];
  };
  return diagnostics
    .filter(({ code }) => code.includes('no-restricted-imports'))
    .map(({ filename, labels, message }) => ({ file: filename, line: labels[0]?.span.line ?? 0, message }));
}
