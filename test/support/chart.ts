import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { runCommand } from './child.ts';

/** An object of a rendering, as far as the tests look at it. */
export interface ChartObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface Rendering {
  readonly chart?: 'keywright' | 'keywright-crds';
  readonly values?: object;
  readonly release?: string;
  readonly namespace?: string;
  /** Helm's major version */
  readonly helm?: 3 | 4;
}

const root = join(import.meta.dirname, '..', '..');
export const chartsDirectory = join(root, 'charts');

/** The least that the chart asks for. */
export const leastValues = { image: { registry: 'registry.example.com' }, redis: { existingSecret: { name: 'redis' } } };

const found = new Map<number, Promise<string>>();

/** Path of a Helm of this major version. Here it is only looked for; `make tools` builds it. */
export function findHelm(major: 3 | 4 = 4): Promise<string> {
  const path = found.get(major) ?? runCommand('bash', [join(root, 'test', 'tools', 'helm.sh'), '--find', String(major)]);
  found.set(major, path);
  return path.then((text) => text.trim());
}

/** What `helm template` prints; fails with what Helm says. */
export async function renderChart({
  chart = 'keywright',
  values = leastValues,
  release = 'keywright',
  namespace = 'keywright-system',
  helm = 4,
}: Rendering = {}): Promise<string> {
  const program = await findHelm(helm);
  const environment = { PATH: process.env['PATH'], HOME: process.env['HOME'], TMPDIR: process.env['TMPDIR'] };
  const words = ['template', release, join(chartsDirectory, chart), '--namespace', namespace, '--values', '-', '--kube-version', '1.36.0'];
  return runCommand(program, words, { input: JSON.stringify(values), environment });
}

export async function renderObjects(rendering: Rendering = {}): Promise<readonly ChartObject[]> {
  return parseObjects(await renderChart(rendering));
}

/** The documents of a manifest, without the empty ones. */
export function parseObjects(text: string): readonly ChartObject[] {
  return parseAllDocuments(text, { version: '1.1' }).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const object = document.toJS() as ChartObject | null;
    return object === null ? [] : [object];
  });
}

const access = new Set([
  'Namespace',
  'ServiceAccount',
  'Role',
  'RoleBinding',
  'ClusterRole',
  'ClusterRoleBinding',
  'CustomResourceDefinition',
]);

/** What an installation has without its workloads: the resources, its namespace and who may do what. */
export function toAccess(objects: readonly ChartObject[]): readonly ChartObject[] {
  return objects.filter(({ kind }) => access.has(kind));
}

export function toManifest(objects: readonly ChartObject[]): string {
  return objects.map((object) => JSON.stringify(object)).join('\n---\n');
}

interface Container {
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

/** The plain environment variables that a Deployment of the chart gives its container. */
export function environmentOf(objects: readonly ChartObject[], deployment: string): Record<string, string> {
  const found = objects.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === deployment);
  const spec = found?.['spec'] as { template: { spec: { containers: readonly Container[] } } } | undefined;
  if (spec === undefined) throw new Error(`the chart has no Deployment ${deployment}`);
  const variables = spec.template.spec.containers.flatMap(({ env = [] }) => env);
  return Object.fromEntries(variables.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])));
}
