/**
 * Writes the parts of the charts that must equal something else: the CRDs (from crds/) as templates, and in values.schema.json the settings of operator and proxy (from the
 * code). With --check it writes nothing and fails when one differs.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crdPath } from '../crds/schema-file.ts';
import { operatorSettings } from '../operator/config.ts';
import { proxySettings } from '../proxy/config.ts';
import type { Setting, SettingsTable } from '../runtime/environment.ts';

const here = import.meta.dirname;
const check = process.argv.includes('--check');

/** What the chart decides itself, by values of its own or because an object of it depends on it. */
const decidedByChart: ReadonlySet<string> = new Set([
  'KEYWRIGHT_ADMIN_LISTEN',
  'KEYWRIGHT_API_LISTEN',
  'KEYWRIGHT_LISTEN',
  'KEYWRIGHT_NAMESPACE',
  'KEYWRIGHT_PUBLIC_URL',
  'KEYWRIGHT_REDIS_CA_FILE',
  'KEYWRIGHT_REDIS_SENTINEL_USERNAME',
  'KEYWRIGHT_REDIS_URL',
  'KEYWRIGHT_REPLICAS',
  'KEYWRIGHT_SEAL_KEY_FILE',
  'KEYWRIGHT_SNAPSHOT_CACHE_DIR',
  'KEYWRIGHT_SNAPSHOT_NAMESPACE',
  'KEYWRIGHT_TLS_CERT',
  'KEYWRIGHT_TLS_KEY',
  'KEYWRIGHT_WATCH_NAMESPACES',
]);

for (const name of ['virtualkey', 'channel']) {
  const definition = readFileSync(crdPath(`${name}.crd.yaml`), 'utf8');
  write(join('keywright', 'templates', 'crds', `${name}.yaml`), toTemplate(definition, '.Values.crds.enabled'));
  write(join('keywright-crds', 'templates', `${name}.yaml`), toTemplate(definition, undefined));
}
write(join('keywright', 'values.schema.json'), withSettings(readFileSync(join(here, 'keywright', 'values.schema.json'), 'utf8')));

/** The text stays as it is, so that comments and numbers do: Helm would read the latter as floating point. */
function toTemplate(definition: string, condition: string | undefined): string {
  if (definition.includes('{{')) throw new Error('a CRD holds {{, which a template would take for its own');
  const annotation = '  annotations:\n';
  if (definition.split(annotation).length !== 2) throw new Error('a CRD must have exactly one `annotations:` in its metadata');
  const kept = '    {{- if .Values.crds.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}\n';
  const text = definition.replace(annotation, `${annotation}${kept}`).trimEnd();
  const note = '{{- /* written by `make generate` from crds/ */ -}}\n';
  return condition === undefined ? `${note}${text}\n` : `${note}{{- if ${condition} }}\n${text}\n{{- end }}\n`;
}

function withSettings(text: string): string {
  const schema = JSON.parse(text) as { definitions: Record<string, unknown> };
  schema.definitions['operatorSettings'] = toSchema(operatorSettings);
  schema.definitions['proxySettings'] = toSchema(proxySettings);
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

function toSchema(table: SettingsTable): unknown {
  const settings = Object.values(table)
    .filter(({ name, secret }) => secret !== true && !decidedByChart.has(name))
    .toSorted((left, right) => (left.name < right.name ? -1 : 1));
  return {
    type: ['object', 'null'],
    additionalProperties: false,
    properties: Object.fromEntries(settings.map((setting) => [toValueName(setting.name), toValueSchema(setting)])),
  };
}

/** KEYWRIGHT_MAX_BODY_BYTES → maxBodyBytes; the template turns it back. */
function toValueName(setting: string): string {
  return setting
    .replace('KEYWRIGHT_', '')
    .toLowerCase()
    .replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function toValueSchema(setting: Setting): unknown {
  const { description } = setting;
  switch (setting.kind) {
    case 'integer':
      return { description, type: ['integer', 'null'], ...toBounds(setting) };
    case 'boolean':
      return { description, type: ['boolean', 'null'] };
    case 'list':
      return { description, type: ['array', 'null'], items: { type: 'string' } };
    case 'choice':
      // YAML 1.1 reads on and off as booleans
      return { description, enum: [...setting.choices, ...(setting.choices.includes('off') ? [true, false] : []), null] };
    default:
      return { description, type: ['string', 'null'] };
  }
}

function toBounds({ minimum, maximum }: { readonly minimum?: number; readonly maximum?: number }): object {
  return { ...(minimum === undefined ? {} : { minimum }), ...(maximum === undefined ? {} : { maximum }) };
}

function write(file: string, text: string): void {
  const path = join(here, file);
  let before: string | undefined;
  try {
    before = readFileSync(path, 'utf8');
  } catch {
    before = undefined;
  }
  if (before === text) return;
  if (check) {
    process.stderr.write(`charts/${file} is not what crds/ and the code say: run \`make generate\`\n`);
    process.exitCode = 1;
    return;
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
