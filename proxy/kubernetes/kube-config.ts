import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { type Document, LineCounter, parseDocument } from 'yaml';
import { Secret } from '../../core/secret.ts';

/** How to reach one API server. Files are read each time they are asked for, because kubelets and cert managers renew them. */
export interface KubeConnection {
  /** origin and path, without a trailing slash */
  readonly server: string;
  /** the bearer token now; throws an Error that names the file if it cannot be read */
  token(): Secret | undefined;
  /** TLS material now; throws as `token` does */
  tls(): TlsMaterial;
}

export interface TlsMaterial {
  readonly ca?: string;
  readonly certificate?: string;
  readonly privateKey?: Secret;
  readonly serverName?: string;
  readonly verify: boolean;
}

export type KubeConfig = { readonly ok: true; readonly connection: KubeConnection } | { readonly ok: false; readonly mistake: string };

const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The connection that a process in this environment should use: the file of `KUBECONFIG`, else the pod's service account, else `~/.kube/config`. What it takes of a
 * kubeconfig: the current context with a token, a token file or a client certificate. What would change who the caller is but is not supported (exec and auth-provider
 * plugins, basic auth, impersonation) and proxies are refused, never ignored. No mistake holds a value of the file.
 */
export function findKubeConfig(
  environment: Readonly<Record<string, string | undefined>>,
  accountDirectory = serviceAccountDirectory,
): KubeConfig {
  const { KUBECONFIG: named, KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = environment;
  if (named !== undefined && named !== '') {
    if (named.includes(delimiter)) return refuse('KUBECONFIG names several files; the proxy reads one and merges none');
    return readKubeConfig(named);
  }
  if (host !== undefined && host !== '') return toServiceAccount(host, port, accountDirectory);
  const file = join(environment['HOME'] ?? homedir(), '.kube', 'config');
  const found = readKubeConfig(file);
  return found.ok || !found.mistake.endsWith('does not exist')
    ? found
    : refuse(`no API server to watch: not in a pod, KUBECONFIG is not set, and ${file} does not exist`);
}

function readKubeConfig(file: string): KubeConfig {
  try {
    return parseKubeConfig(readFileSync(file, 'utf8'), file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return refuse(
      code === 'ENOENT' ? `kubeconfig ${file} does not exist` : `kubeconfig ${file} cannot be read (${code ?? 'unknown error'})`,
    );
  }
}

/** As `findKubeConfig`, of a kubeconfig's text; `file` is for mistakes and as the base of relative paths. */
export function parseKubeConfig(text: string, file: string): KubeConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  // the library's message may quote the line, and a kubeconfig's lines hold tokens
  if (error !== undefined) return refuse(`kubeconfig ${file}, line ${lines.linePos(error.pos[0]).line}: not valid YAML`);
  const mistakes: string[] = [];
  const config = new Fields(toPlain(document), '', mistakes);
  const contextName = config.text('current-context');
  if (contextName === undefined) return refuse(`kubeconfig ${file} has no current-context`);
  const context = config.named('contexts', contextName, 'context');
  const cluster = config.named('clusters', context.text('cluster') ?? '', 'cluster');
  const user = config.named('users', context.text('user') ?? '', 'user');
  const connection = toConnection(cluster, user, dirname(resolve(file)), mistakes);
  return mistakes.length > 0 || connection === undefined ? refuse(`kubeconfig ${file}: ${mistakes.join('; ')}`) : { ok: true, connection };
}

/** Anchors that never resolve, or resolve to too much, make this throw; a kubeconfig has none. */
function toPlain(document: Document): unknown {
  try {
    return document.toJS();
  } catch {
    return undefined;
  }
}

function toConnection(cluster: Fields, user: Fields, directory: string, mistakes: string[]): KubeConnection | undefined {
  const server = cluster.text('server');
  if (server === undefined) mistakes.push(`${cluster.path}server is missing`);
  else if (!isHttpUrl(server)) mistakes.push(`${cluster.path}server is not an http or https URL without user, query and fragment`);
  cluster.refuse('proxy-url', 'a proxy in front of the API server is not supported');
  user.refuse('exec', 'exec plugins are not supported by the proxy; give it a token, a tokenFile or a client certificate');
  user.refuse('auth-provider', 'auth-provider plugins are not supported; give it a token, a tokenFile or a client certificate');
  user.refuse('username', 'basic authentication is not supported by Kubernetes any more');
  for (const name of ['as', 'as-uid', 'as-groups', 'as-user-extra']) user.refuse(name, 'impersonation is not supported by the proxy');

  // of `x` and `x-data` the data wins, as in kubectl
  const ca = cluster.material('certificate-authority', directory);
  const certificate = user.material('client-certificate', directory);
  const privateKey = user.material('client-key', directory);
  if ((certificate === undefined) !== (privateKey === undefined))
    mistakes.push(`${user.path}client-certificate and client-key belong together`);
  const tokenFile = user.text('tokenFile');
  const token = user.text('token');
  const serverName = cluster.text('tls-server-name');
  const verify = cluster.flag('insecure-skip-tls-verify') !== true;
  if (server === undefined || mistakes.length > 0) return undefined;

  if (token !== undefined && !tokenCharacters.test(token)) mistakes.push(`${user.path}token holds characters that no token has`);
  const fixed = token === undefined ? undefined : new Secret(token);
  const connection: KubeConnection = {
    server: server.replace(/\/+$/, ''),
    token: () => (tokenFile === undefined ? fixed : readToken(toPath(tokenFile, directory))),
    tls: () => ({
      ...(ca === undefined ? {} : { ca: ca() }),
      ...(certificate === undefined || privateKey === undefined
        ? {}
        : { certificate: certificate(), privateKey: new Secret(privateKey()) }),
      ...(serverName === undefined ? {} : { serverName }),
      verify,
    }),
  };
  return tried(connection, mistakes) ? connection : undefined;
}

function toServiceAccount(host: string, port: string, directory: string): KubeConfig {
  const mistakes: string[] = [];
  const connection: KubeConnection = {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    token: () => readToken(join(directory, 'token')),
    tls: () => ({ ca: readText(join(directory, 'ca.crt')), verify: true }),
  };
  return tried(connection, mistakes) ? { ok: true, connection } : refuse(`service account of this pod: ${mistakes.join('; ')}`);
}

/** A wrong path should be told at the start, not at the first call. */
function tried(connection: KubeConnection, mistakes: string[]): boolean {
  for (const read of [connection.token, connection.tls]) {
    try {
      read();
    } catch (error) {
      mistakes.push((error as Error).message);
    }
  }
  return mistakes.length === 0;
}

/** Anything else would be refused as a header, by words that may quote it. */
const tokenCharacters = /^[\x21-\x7e]+$/;

function readToken(file: string): Secret {
  const token = readText(file).trim();
  if (token === '') throw new Error(`token file ${file} is empty`);
  if (!tokenCharacters.test(token))
    throw new Error(`token file ${file} holds no token: more than one line, or characters that no token has`);
  return new Secret(token);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`, { cause: error });
  }
}

function toPath(path: string, directory: string): string {
  return isAbsolute(path) ? path : join(directory, path);
}

function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return (protocol === 'https:' || protocol === 'http:') && `${username}${password}${search}${hash}` === '';
}

function refuse(mistake: string): KubeConfig {
  return { ok: false, mistake };
}

/** One mapping of the file: reads its fields with their types, and notes what is wrong by its path. */
class Fields {
  readonly path: string;
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #mistakes: string[];

  constructor(value: unknown, path: string, mistakes: string[]) {
    this.path = path;
    this.#mistakes = mistakes;
    const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
    this.#value = isMapping ? (value as Record<string, unknown>) : {};
    if (!isMapping && value !== undefined && value !== null)
      mistakes.push(`${path === '' ? 'the file' : path.slice(0, -1)} is not a mapping`);
  }

  text(name: string): string | undefined {
    const value = this.#value[name];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value === 'string') return value;
    this.#mistakes.push(`${this.path}${name} is not a text`);
    return undefined;
  }

  flag(name: string): boolean | undefined {
    const value = this.#value[name];
    if (value === undefined || value === null || typeof value === 'boolean') return value ?? undefined;
    this.#mistakes.push(`${this.path}${name} is not true or false`);
    return undefined;
  }

  /** notes a field that has a value but must not be there */
  refuse(name: string, why: string): void {
    const value = this.#value[name];
    if (value !== undefined && value !== null && value !== '') this.#mistakes.push(`${this.path}${name}: ${why}`);
  }

  /** PEM from `<name>-data` (base64) or the file `<name>`, as a reader */
  material(name: string, directory: string): (() => string) | undefined {
    const data = this.text(`${name}-data`);
    const file = this.text(name);
    if (data === undefined) return file === undefined ? undefined : () => readText(toPath(file, directory));
    const pem = Buffer.from(data, 'base64').toString();
    if (pem.includes('-----BEGIN ')) return () => pem;
    this.#mistakes.push(`${this.path}${name}-data is not a PEM in base64`);
    return undefined;
  }

  /** the entry of a named list, as kubeconfig has them: `{ name, context: {…} }` */
  named(list: string, name: string, inner: string): Fields {
    const entries = this.#value[list];
    const entry = Array.isArray(entries)
      ? (entries as unknown[]).find((item) => new Fields(item, '', []).text('name') === name)
      : undefined;
    if (entry === undefined) this.#mistakes.push(`${list} has no entry "${name}"`);
    return new Fields((entry as Record<string, unknown> | undefined)?.[inner], `${inner} "${name}": `, this.#mistakes);
  }
}
