/**
 * Writes the tables of the documentation that must equal the code (settings, refusals, metrics, planted bugs) between their marks `<!-- table: NAME -->` and `<!-- end -->`.
 * With --check it writes nothing and fails when one differs.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { refusals } from '../core/refusals.ts';
import { operatorSettings } from '../operator/config.ts';
import { proxySettings } from '../proxy/config.ts';
import { type SettingsTable, toSettingsRows } from '../runtime/environment.ts';
import { toSdkRows } from '../test/dataplane/sdk-table.ts';
import { type Grant, grantsInCluster, grantsInNamespaces, toGrantRows } from '../test/chart/grants.ts';
import { mutations } from '../test/mutations/mutations.ts';
import { toMutationRows } from '../test/mutations/plant.ts';
import { readMetrics } from './read-metrics.ts';
import { readValues } from './read-values.ts';
import { withTable } from './with-table.ts';

const check = process.argv.includes('--check');
const tables: Readonly<Record<string, Readonly<Record<string, () => string[]>>>> = {
  'settings.md': { proxy: () => toSettings(proxySettings), operator: () => toSettings(operatorSettings) },
  'refusals.md': { refusals: toRefusals },
  'sdk-retries.md': { sdks: toSdkRows },
  'install.md': { values: toValues },
  'rbac.md': { cluster: () => toRights(grantsInCluster), namespaces: () => toRights(grantsInNamespaces) },
  'mutations.md': { mutations: () => toMutationRows(mutations) },
  'metrics.md': { proxy: () => toMetrics(['runtime', 'proxy']), operator: () => toMetrics(['runtime', 'operator']) },
};

for (const [file, parts] of Object.entries(tables)) {
  const path = join(import.meta.dirname, file);
  const before = readFileSync(path, 'utf8');
  let after = before;
  for (const [name, rows] of Object.entries(parts)) after = withTable(after, name, rows());
  if (after === before) continue;
  if (check) {
    process.stderr.write(`docs/${file} is not what the code says: run \`make generate\`\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, after);
  }
}

function toSettings(table: SettingsTable): string[] {
  return ['| setting | kind | default | meaning |', '| --- | --- | --- | --- |', ...toSettingsRows(table)];
}

function toValues(): string[] {
  const rows = readValues().map(
    ({ path, default: value, meaning }) =>
      `| \`${path}\` | ${['', '""', 'null'].includes(value) ? '' : `\`${value.replaceAll('|', '\\|')}\``} | ${meaning.replaceAll('|', '\\|')} |`,
  );
  return ['| value | default | meaning |', '| --- | --- | --- |', ...rows];
}

function toRights(grants: readonly Grant[]): string[] {
  return ['| who | where | resource | verb | the test that fails without it |', '| --- | --- | --- | --- | --- |', ...toGrantRows(grants)];
}

function toRefusals(): string[] {
  const rows = Object.entries(refusals).map(
    ([code, { status, when, openaiType, anthropicType, anthropicStatus, geminiStatus, geminiHttp, retry }]) => {
      const anthropic = anthropicStatus === undefined ? `\`${anthropicType}\`` : `${anthropicStatus} \`${anthropicType}\``;
      const gemini = geminiHttp === undefined ? `\`${geminiStatus}\`` : `${geminiHttp} \`${geminiStatus}\``;
      // an empty type is the unit of the limit that refused
      const openai = openaiType === '' ? '`requests` or `tokens`' : `\`${openaiType}\``;
      return `| \`${code}\` | ${status} | ${openai} | ${anthropic} | ${gemini} | ${when}${retry === false ? '; no SDK retries it' : ''} |`;
    },
  );
  return [
    '| code | status | OpenAI `type` | Anthropic `type` | Gemini `status` | when |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ];
}

function toMetrics(folders: readonly string[]): string[] {
  const rows = readMetrics(folders).map(
    ({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
  );
  return ['| metric | type | labels | meaning |', '| --- | --- | --- | --- |', ...rows];
}
