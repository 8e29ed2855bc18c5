import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { type Child, makeTemporaryDirectory, runCommand, startChild } from './child.ts';
import { eventually } from './eventually.ts';
import { startEtcd } from './etcd.ts';
import { freePort } from './free-port.ts';

export interface ControlPlane {
  /** of the administrator (group system:masters) */
  readonly kubeconfigPath: string;
  /** `https://127.0.0.1:port`; stays the same over kill and start */
  readonly url: string;
  /** the certificate to trust, in PEM */
  readonly certificatePath: string;
  readonly adminToken: string;
  /** as the administrator; gives standard output, fails with what kubectl said */
  kubectl(...args: string[]): Promise<string>;
  /** `kubectl apply -f -` of a manifest text */
  apply(manifest: string): Promise<string>;
  /** the same with further flags (`--server-side`, `--dry-run=server`) */
  applyWith(flags: readonly string[], manifest: string): Promise<string>;
  /** a real token of a service account (`namespace/name`, which must exist) through the TokenRequest API: so RBAC is tested */
  createToken(serviceAccount: string): Promise<string>;
  /** writes a kubeconfig for a token and gives its path */
  kubeconfigFor(token: string): string;
  /** the same for a file with a token, as a pod has it */
  kubeconfigForFile(tokenFile: string): string;
  /** without notice (SIGKILL); etcd goes on */
  killApiServer(): Promise<void>;
  startApiServer(): Promise<void>;
  /** takes the history out of etcd, so that a watch from an older version is told that it has expired */
  compactEtcd(): Promise<void>;
  /** a backup of all that is stored; only one is kept */
  saveStore(): Promise<void>;
  /** puts the backup back, as an administrator would: the API server and etcd stop and start; versions go on from the older ones */
  restoreStore(): Promise<void>;
  /** garbage collector and namespace controller; they end with the control plane */
  startControllers(): Promise<void>;
  /** every key and value of etcd as they are stored */
  etcdEntries(): Promise<{ key: string; value: Buffer }[]>;
  /** all keys and values of etcd, one after the other, for searching */
  etcdDump(): Promise<Buffer>;
  stop(): Promise<void>;
}

const testDirectory = join(import.meta.dirname, '..');

/**
 * A real etcd and kube-apiserver of this test's own, on free loopback ports. No controller manager: nothing collects garbage, finishes the deletion of namespaces or makes
 * `default` service accounts.
 */
export async function startControlPlane(): Promise<ControlPlane> {
  const programs = await findPrograms();
  const directory = makeTemporaryDirectory('control-plane');
  const adminToken = randomUUID();
  const etcd = await startEtcd(programs, directory);
  const port = await freePort();
  const url = `https://127.0.0.1:${port}`;
  const flags = toApiServerFlags({ directory, etcdUrl: etcd.url, port, adminToken });
  const certificatePath = join(directory, 'certificates', 'apiserver.crt');

  let apiServer: Child;
  let controllers: Child | undefined;
  async function startApiServer(): Promise<void> {
    apiServer = startChild(join(programs, 'kube-apiserver'), flags, { directory });
    await eventually(() => isReady(apiServer, { url, certificatePath, adminToken }), { withinMs: 120_000, everyMs: 200 });
  }

  function writeKubeconfig(user: { token: string } | { tokenFile: string }): string {
    const path = join(directory, `kubeconfig-${randomUUID()}.json`);
    writeFileSync(path, toKubeconfig({ url, certificatePath, user }), { mode: 0o600 });
    return path;
  }
  const kubeconfigFor = (token: string): string => writeKubeconfig({ token });

  await startApiServer();
  const kubeconfigPath = kubeconfigFor(adminToken);
  const runKubectl = (args: readonly string[], input?: string): Promise<string> =>
    runCommand(join(programs, 'kubectl'), ['--kubeconfig', kubeconfigPath, ...args], {
      environment: { PATH: process.env['PATH'], HOME: directory },
      ...(input !== undefined && { input }),
    });

  return {
    kubeconfigPath,
    url,
    certificatePath,
    adminToken,
    kubectl: (...args) => runKubectl(args),
    apply: (manifest) => runKubectl(['apply', '-f', '-'], manifest),
    applyWith: (flags, manifest) => runKubectl(['apply', ...flags, '-f', '-'], manifest),
    async createToken(serviceAccount) {
      const [namespace = '', name = ''] = serviceAccount.split('/');
      return (await runKubectl(['create', 'token', name, '--namespace', namespace])).trim();
    },
    kubeconfigFor,
    kubeconfigForFile: (tokenFile) => writeKubeconfig({ tokenFile }),
    async killApiServer() {
      apiServer.signal('SIGKILL');
      await apiServer.ended;
    },
    startApiServer,
    compactEtcd: () => etcd.compact(),
    saveStore: () => etcd.save(),
    async restoreStore() {
      apiServer.signal('SIGKILL');
      await apiServer.ended;
      await etcd.restore();
      await startApiServer();
    },
    async startControllers() {
      controllers = await startControllers(kubeconfigPath);
    },
    etcdEntries: () => etcd.entries(),
    async etcdDump() {
      const newline = Buffer.from('\n');
      return Buffer.concat((await etcd.entries()).flatMap(({ key, value }) => [Buffer.from(key), newline, value, newline]));
    },
    async stop() {
      // it is ours alone and keeps nothing, so it need not drain for the ten seconds that it would like to
      controllers?.signal('SIGKILL');
      apiServer.signal('SIGKILL');
      await Promise.all([apiServer.ended, controllers?.ended]);
      await etcd.stop();
    },
  };
}

/** The tools' own script knows where they may be; here it only looks and never builds, because a build takes minutes. */
async function findPrograms(): Promise<string> {
  return (await runCommand('bash', [join(testDirectory, 'tools', 'control-plane.sh'), '--find'])).trim();
}

function toApiServerFlags({
  directory,
  etcdUrl,
  port,
  adminToken,
}: {
  directory: string;
  etcdUrl: string;
  port: number;
  adminToken: string;
}): string[] {
  const key = join(directory, 'service-account.key');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const tokens = join(directory, 'tokens.csv');
  writeFileSync(tokens, `${adminToken},administrator,administrator,system:masters\n`, { mode: 0o600 });
  return [
    `--etcd-servers=${etcdUrl}`,
    `--secure-port=${port}`,
    '--bind-address=127.0.0.1',
    `--cert-dir=${join(directory, 'certificates')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${key}`,
    `--service-account-signing-key-file=${key}`,
    '--authorization-mode=Node,RBAC',
    `--token-auth-file=${tokens}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    '--disable-admission-plugins=ServiceAccount', // needs the controllers that are not here
    '--profiling=false',
  ];
}

function toKubeconfig({ url, certificatePath, user }: { url: string; certificatePath: string; user: object }): string {
  const certificate = readFileSync(certificatePath).toString('base64');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': certificate } }],
    users: [{ name: 'test', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'default' } }],
    'current-context': 'test',
  });
}

async function isReady(
  apiServer: Child,
  { url, certificatePath, adminToken }: { url: string; certificatePath: string; adminToken: string },
): Promise<boolean> {
  if (!apiServer.running) throw new Error(`kube-apiserver ended: ${apiServer.lastWords()}`);
  const options = { ca: readFileSync(certificatePath), headers: { authorization: `Bearer ${adminToken}` }, agent: false as const };
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  get(`${url}/readyz`, options, (answer) => {
    answer.resume();
    resolve(answer.statusCode === 200);
  }).on('error', reject);
  return promise;
}

async function startControllers(kubeconfigPath: string): Promise<Child> {
  const program = (await runCommand('bash', [join(testDirectory, 'tools', 'controller-manager.sh'), '--find'])).trim();
  return startChild(program, [
    `--kubeconfig=${kubeconfigPath}`,
    '--controllers=garbage-collector-controller,namespace-controller',
    '--leader-elect=false',
    '--secure-port=0',
  ]);
}
