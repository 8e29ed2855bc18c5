import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { Secret } from '../../../core/secret.ts';
import { ClusterError } from '../cluster.ts';
import type { PlainConfig } from './plain-config.ts';
import { toPlainConfig, toServiceAccount } from './plain-config.ts';

/** Where the API server is and how to prove who we are, as of now. */
export interface Connection {
  readonly origin: string;
  /** without a trailing slash; for API servers behind a path */
  readonly basePath: string;
  readonly tls: TlsMaterial;
  readonly proxyUrl: string | undefined;
  /** `Bearer …` or `Basic …` */
  readonly authorization: Secret | undefined;
  readonly impersonateUser: string | undefined;
}

export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface ConnectionSource {
  current(): Promise<Connection>;
  /** what we have was refused: read everything anew */
  refresh(): void;
}

/**
 * How long credentials are used before files and exec plugins are asked again. Rotated tokens and certificates overlap by minutes or more
 * (kubelet: a projected token is renewed at 80 % of its life), and a refused one is read anew at once.
 */
const freshMs = 30_000;

/**
 * The connection of a kubeconfig: the named file, else KUBECONFIG, else the pod's service account, else ~/.kube/config: the order of the proxy.
 * client-node is used for what needs it alone (exec plugins, OIDC, proxies, merged files), and imported then: it costs 0.5 s and 90 MB.
 */
export function makeConnectionSource(options: { kubeconfigPath?: string; now: () => number }): ConnectionSource {
  let config: Promise<PlainConfig> | undefined;
  let cached: { connection: Promise<Connection>; atMs: number } | undefined;

  async function read(): Promise<Connection> {
    try {
      config ??= loadConfig(options.kubeconfigPath);
      return await (
        await config
      )();
    } catch (error) {
      if (error instanceof ClusterError) throw error;
      // Not its message: an exec plugin's is whatever the plugin printed.
      const code: unknown = Reflect.get(Object(error), 'code');
      throw new ClusterError(
        'Unavailable',
        `the kubeconfig or its credentials cannot be read${typeof code === 'string' ? ` (${code})` : ''}`,
      );
    }
  }

  function refresh(): void {
    config = undefined;
    cached = undefined;
  }

  return {
    refresh,
    current() {
      if (cached !== undefined && options.now() - cached.atMs < freshMs) return cached.connection;
      const connection = read();
      cached = { connection, atMs: options.now() };
      // A failure is not kept: the next call tries anew.
      connection.catch(refresh);
      return connection;
    },
  };
}

interface LoadedConfig {
  readonly config: KubeConfig;
  /** client-node 2.0.1 knows only the old spelling `token-file` and reads it once */
  readonly tokenFile: string | undefined;
}

async function loadConfig(kubeconfigPath: string | undefined): Promise<PlainConfig> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443', KUBECONFIG: named = '' } = process.env;
  if (kubeconfigPath === undefined && named === '' && host !== undefined) return toServiceAccount(host, port);
  const file = kubeconfigPath ?? (named === '' || named.includes(path.delimiter) ? undefined : named);
  const plain = file === undefined ? undefined : toPlainConfig(await readDocument(file), path.dirname(file));
  if (plain !== undefined) return plain;
  const loaded = await loadWithPlugins(kubeconfigPath);
  return () => toConnection(loaded);
}

/** Programs write kubeconfigs as JSON, which is YAML too, and need no parser for it. */
export async function readDocument(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8');
  if (text.trimStart().startsWith('{')) return JSON.parse(text);
  // the parser's warnings would be printed, and quote lines that hold tokens
  return (await import('yaml')).parse(text, { logLevel: 'error', prettyErrors: false });
}

async function loadWithPlugins(kubeconfigPath: string | undefined): Promise<LoadedConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (kubeconfigPath !== undefined) {
    config.loadFromFile(kubeconfigPath);
    return { config, tokenFile: await findTokenFile(kubeconfigPath, config) };
  }
  config.loadFromDefault();
  return { config, tokenFile: undefined };
}

async function findTokenFile(kubeconfigPath: string, config: KubeConfig): Promise<string | undefined> {
  const document = (await readDocument(kubeconfigPath)) as { users?: { name: string; user?: { tokenFile?: unknown } }[] };
  const tokenFile = document.users?.find((entry) => entry.name === config.getCurrentUser()?.name)?.user?.tokenFile;
  return typeof tokenFile === 'string' ? path.resolve(path.dirname(kubeconfigPath), tokenFile) : undefined;
}

async function toConnection({ config, tokenFile }: LoadedConfig): Promise<Connection> {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new ClusterError('Unavailable', 'the kubeconfig has no current cluster');
  const server = new URL(cluster.server);
  const options: { headers: Record<string, unknown>; auth?: string } & Record<string, unknown> = { headers: {} };
  // Gives files' and plugins' contents; the agent that it also makes is kept by the KubeConfig and never used.
  await config.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0]);
  const token = tokenFile === undefined ? undefined : `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`;
  const basic = options.auth === undefined ? undefined : `Basic ${Buffer.from(options.auth).toString('base64')}`;
  const authorization = token ?? textOf(options.headers['Authorization'])?.trim() ?? basic;
  return {
    origin: server.origin,
    basePath: server.pathname.replace(/\/+$/, ''),
    tls: toTls(options),
    proxyUrl: toProxyUrl(cluster.proxyUrl),
    authorization: authorization === undefined ? undefined : new Secret(authorization),
    impersonateUser: textOf(options.headers['Impersonate-User']),
  };
}

function toTls(options: Record<string, unknown>): TlsMaterial {
  const material: Record<string, string | boolean> = {};
  for (const name of ['ca', 'cert', 'key', 'servername'] as const) {
    const text = textOf(options[name]);
    if (text !== undefined) material[name] = text;
  }
  if (options['rejectUnauthorized'] === false) material['rejectUnauthorized'] = false;
  return material;
}

function toProxyUrl(proxyUrl: string | undefined): string | undefined {
  if (proxyUrl === undefined || /^https?:/.test(proxyUrl)) return proxyUrl;
  throw new ClusterError('Unavailable', 'the proxy-url of the kubeconfig must be http or https');
}

function textOf(value: unknown): string | undefined {
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  return typeof value === 'string' && value !== '' ? value : undefined;
}
