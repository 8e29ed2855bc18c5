import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

export interface Child {
  readonly pid: number;
  readonly process: ChildProcess;
  readonly running: boolean;
  /** the last of what it wrote on standard error (and output, unless `onOutput` takes that), for messages */
  lastWords(): string;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, after `withinMs` SIGKILL; resolves when it has ended, with its exit code (`null` = ended by a signal) */
  stop(withinMs?: number): Promise<number | null>;
  /** resolves when it has ended */
  readonly ended: Promise<number | null>;
}

export interface ChildOptions {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly directory?: string;
  readonly onOutput?: (text: string) => void;
}

let watchdog: Writable | undefined;

/** A process that does not outlive the test process, however that ends. */
export function startChild(command: string, args: readonly string[], { environment, directory, onOutput }: ChildOptions = {}): Child {
  const child = spawn(command, args, { cwd: directory, env: environment ?? process.env, stdio: ['ignore', 'pipe', 'pipe'] });
  let words = '';
  const listen = (stream: Readable | null, take: (text: string) => void): void => void stream?.setEncoding('utf8').on('data', take);
  const remember = (text: string): void => void (words = (words + text).slice(-4000));
  listen(child.stderr, remember);
  listen(child.stdout, onOutput ?? remember);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => {
      reject(new Error(`cannot start ${command}: ${error.message}`));
    });
    child.once('close', (code) => {
      tellWatchdog(`end ${child.pid}`);
      resolve(code);
    });
  });
  ended.catch(() => {});
  const { pid } = child;
  if (pid !== undefined) tellWatchdog(`start ${pid}`);
  const isRunning = (): boolean => pid !== undefined && child.exitCode === null && child.signalCode === null;
  return {
    pid: pid ?? -1,
    process: child,
    get running() {
      return isRunning();
    },
    lastWords: () => words.trim(),
    signal(signal) {
      if (isRunning()) child.kill(signal);
    },
    async stop(withinMs = 30_000) {
      if (isRunning()) child.kill('SIGTERM');
      const timer = setTimeout(() => isRunning() && child.kill('SIGKILL'), withinMs);
      return ended.finally(() => clearTimeout(timer));
    },
    ended,
  };
}

/** A directory of the test's own; removed when the test process is gone. */
export function makeTemporaryDirectory(purpose: string): string {
  const directory = mkdtempSync(join(tmpdir(), `keywright-test-${purpose}-`));
  tellWatchdog(`directory ${directory}`);
  return directory;
}

/** Runs a command to its end; gives its output or fails with what it said. */
export async function runCommand(
  command: string,
  args: readonly string[],
  { input, environment }: { input?: string; environment?: Record<string, string | undefined> } = {},
): Promise<string> {
  const child = spawn(command, args, { env: environment ?? process.env, stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdin.on('error', () => {}); // it may end before it has read everything
  child.stdin.end(input ?? '');
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${String(code)}: ${(errors || output).trim()}`);
  return output;
}

function tellWatchdog(line: string): void {
  watchdog ??= startWatchdog();
  watchdog.write(`${line}\n`);
}

/** In a session of its own, so that Ctrl-C in the terminal does not end it before its work. */
function startWatchdog(): Writable {
  const script = join(import.meta.dirname, 'watchdog.sh');
  const child = spawn('sh', [script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  child.unref();
  // a pipe is a socket to Node: unref exists, though the type of stdin does not say so
  (child.stdin as Writable & { unref?: () => void }).unref?.();
  child.stdin.on('error', () => {});
  return child.stdin;
}
