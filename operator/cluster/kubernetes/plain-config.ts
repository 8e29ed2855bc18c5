import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Secret } from '../../../core/secret.ts';
import { fieldOf } from './answer.ts';
import type { Connection, TlsMaterial } from './connection.ts';

/** A way to an API server that needs no plugin: what stands in it are values and files. Files are read each time, because they are renewed. */
export type PlainConfig = () => Promise<Connection>;

const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The pod's own service account. */
export function toServiceAccount(host: string, port: string, directory = serviceAccountDirectory): PlainConfig {
  const file = (name: string): string => path.join(directory, name);
  return async () => ({
    origin: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    basePath: '',
    tls: { ca: await readFile(file('ca.crt'), 'utf8') },
    proxyUrl: undefined,
    authorization: await readToken(file('token')),
    impersonateUser: undefined,
  });
}

const clusterFields = new Set([
  'server',
  'certificate-authority',
  'certificate-authority-data',
  'tls-server-name',
  'insecure-skip-tls-verify',
]);
const userFields = new Set(['token', 'tokenFile', 'client-certificate', 'client-certificate-data', 'client-key', 'client-key-data']);

/** A kubeconfig's current context, if every field of its cluster and user is one that is understood here; undefined: it needs more. */
export function toPlainConfig(document: unknown, directory: string): PlainConfig | undefined {
  const context = findNamed(document, 'contexts', fieldOf(document, 'current-context'), 'context');
  const cluster = findNamed(document, 'clusters', fieldOf(context, 'cluster'), 'cluster');
  const user = findNamed(document, 'users', fieldOf(context, 'user'), 'user');
  const server = fieldOf(cluster, 'server');
  const isPlain = hasOnly(cluster, clusterFields) && hasOnly(user, userFields);
  if (!isPlain || typeof server !== 'string' || !URL.canParse(server)) return undefined;
  const { origin, pathname } = new URL(server);
  return async () => ({
    origin,
    basePath: pathname.replace(/\/+$/, ''),
    tls: await readTls(cluster, user, directory),
    proxyUrl: undefined,
    authorization: await readAuthorization(user, directory),
    impersonateUser: undefined,
  });
}

async function readTls(cluster: unknown, user: unknown, directory: string): Promise<TlsMaterial> {
  const [ca, cert, key] = await Promise.all([
    readMaterial(cluster, 'certificate-authority', directory),
    readMaterial(user, 'client-certificate', directory),
    readMaterial(user, 'client-key', directory),
  ]);
  const servername = fieldOf(cluster, 'tls-server-name');
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(typeof servername === 'string' ? { servername } : {}),
    ...(fieldOf(cluster, 'insecure-skip-tls-verify') === true ? { rejectUnauthorized: false } : {}),
  };
}

/** Of `x` and `x-data` the data wins, as in kubectl. */
async function readMaterial(of: unknown, name: string, directory: string): Promise<string | undefined> {
  const data = fieldOf(of, `${name}-data`);
  if (typeof data === 'string') return Buffer.from(data, 'base64').toString('utf8');
  const file = fieldOf(of, name);
  return typeof file === 'string' ? readFile(path.resolve(directory, file), 'utf8') : undefined;
}

/** Of `token` and `tokenFile` the file wins, as in client-go. */
async function readAuthorization(user: unknown, directory: string): Promise<Secret | undefined> {
  const file = fieldOf(user, 'tokenFile');
  if (typeof file === 'string') return readToken(path.resolve(directory, file));
  const token = fieldOf(user, 'token');
  return typeof token === 'string' ? new Secret(`Bearer ${token}`) : undefined;
}

async function readToken(file: string): Promise<Secret> {
  return new Secret(`Bearer ${(await readFile(file, 'utf8')).trim()}`);
}

/** The entry of a named list, as kubeconfigs have them: `{ name, context: {…} }` */
export function findNamed(document: unknown, list: string, name: unknown, field: string): unknown {
  const entries = fieldOf(document, list);
  if (!Array.isArray(entries) || typeof name !== 'string') return undefined;
  return fieldOf(
    entries.find((entry) => fieldOf(entry, 'name') === name),
    field,
  );
}

function hasOnly(value: unknown, fields: ReadonlySet<string>): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).every((field) => fields.has(field));
}
