import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { readDocument } from './connection.ts';
import { fieldOf } from './answer.ts';
import { findNamed } from './plain-config.ts';

type Environment = Readonly<Record<string, string | undefined>>;

interface Read {
  readonly file: string;
  readonly document: unknown;
}

/** Where a kubeconfig may name files: only what has no `-data` beside it is read from them. */
const clusterFiles = ['certificate-authority'];
const userFiles = ['client-certificate', 'client-key', 'tokenFile'];

/**
 * What is wrong with the kubeconfig that a process in this environment would use, as far as waiting cannot mend it: told at the start, instead of trying for ever. In a pod without
 * KUBECONFIG its service account is used, and its files come with the pod. No mistake holds a value of a file.
 */
export async function findKubeConfigMistakes(environment: Environment): Promise<readonly string[]> {
  const named = (environment['KUBECONFIG'] ?? '').split(path.delimiter).filter((file) => file !== '');
  if (named.length === 0 && environment['KUBERNETES_SERVICE_HOST'] !== undefined) return [];
  const standard = path.join(environment['HOME'] ?? homedir(), '.kube', 'config');
  if (named.length === 0 && !(await exists(standard)))
    return [`no API server to work with: not in a pod, KUBECONFIG is not set, and ${standard} does not exist`];
  const files = named.length === 0 ? [standard] : named;
  const readings = await Promise.all(files.map((file) => readOne(file)));
  const mistakes = readings.flatMap((reading) => ('mistake' in reading ? [reading.mistake] : []));
  if (mistakes.length > 0) return mistakes;
  return findMistakes(readings.filter((reading) => 'document' in reading));
}

async function readOne(file: string): Promise<Read | { readonly mistake: string }> {
  try {
    const document = await readDocument(file);
    const isMapping = typeof document === 'object' && document !== null && !Array.isArray(document);
    return isMapping ? { file, document } : { mistake: `kubeconfig ${file} is not a mapping` };
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    // a parser's own words may quote the line, and a kubeconfig's lines hold tokens
    if (syscall === undefined) return { mistake: `kubeconfig ${file} is not valid YAML or JSON` };
    return { mistake: code === 'ENOENT' ? `kubeconfig ${file} does not exist` : `kubeconfig ${file} cannot be read (${code})` };
  }
}

/** Of several files the first says which context counts, and its parts may stand in any of them. */
async function findMistakes(readings: readonly Read[]): Promise<readonly string[]> {
  const [first] = readings;
  if (first === undefined) return [];
  const where = `kubeconfig ${first.file}`;
  const context = find(readings, 'contexts', { name: fieldOf(first.document, 'current-context'), field: 'context' });
  if (context === undefined) return [`${where} has no current-context, or none of that name`];
  const cluster = find(readings, 'clusters', { name: fieldOf(context.value, 'cluster'), field: 'cluster' });
  const userName = fieldOf(context.value, 'user');
  const user = find(readings, 'users', { name: userName, field: 'user' });
  const server = fieldOf(cluster?.value, 'server');
  const isUrl = typeof server === 'string' && URL.canParse(server);
  return [
    ...(cluster === undefined ? [`${where}: the cluster of its current-context is missing`] : []),
    ...(cluster !== undefined && !isUrl ? [`${where}: the server of its current-context is not a URL`] : []),
    ...(user === undefined && isText(userName) ? [`${where}: the user of its current-context is missing`] : []),
    ...(await findMissingFiles(cluster, clusterFiles)),
    ...(await findMissingFiles(user, userFiles)),
  ];
}

interface Entry {
  readonly file: string;
  readonly value: unknown;
}

function find(readings: readonly Read[], list: string, { name, field }: { name: unknown; field: string }): Entry | undefined {
  for (const { file, document } of readings) {
    const value = findNamed(document, list, name, field);
    if (value !== undefined && value !== null) return { file, value };
  }
  return undefined;
}

async function findMissingFiles(entry: Entry | undefined, fields: readonly string[]): Promise<string[]> {
  const mistakes: string[] = [];
  for (const field of fields) {
    const file = fieldOf(entry?.value, field);
    if (entry === undefined || !isText(file) || isText(fieldOf(entry.value, `${field}-data`))) continue;
    const whole = path.resolve(path.dirname(entry.file), file);
    const code = await access(whole).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (code !== undefined) mistakes.push(`kubeconfig ${entry.file}: its ${field} ${whole} cannot be read (${code})`);
  }
  return mistakes;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
