import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { usageExitCode } from '../runtime/usage-exit-code.ts';
import { describeStartFailure } from './start-failure.ts';

interface Command {
  readonly name: string;
  readonly summary: string;
  /** gives the exit code of a command that ends; a process that stays resolves with nothing as soon as it runs */
  readonly run: (args: readonly string[]) => Promise<number | void>;
}

/** Each is loaded when it is called for: a proxy must not pay for (nor contain) the Kubernetes client, nor `lint` for a server. */
const commands: readonly Command[] = [
  {
    name: 'proxy',
    summary: 'serve clients: check keys and limits, pass requests on to providers',
    run: async () => (await import('../proxy/main.ts')).runProxy(process.env),
  },
  {
    name: 'operator',
    summary: 'issue keys for VirtualKey resources and publish the snapshot for the proxies',
    run: async () => (await import('../operator/main.ts')).runOperator(process.env),
  },
  {
    name: 'standalone',
    summary: 'operator and proxy in one process over a folder of manifests, without Kubernetes',
    run: async (args) => (await import('../standalone/main.ts')).runStandalone(args, process.env),
  },
  {
    name: 'lint',
    summary: 'check manifests as the API server would, without one',
    run: async (args) => (await import('./lint.ts')).runLint(args),
  },
  {
    name: 'revoke',
    summary: 'end a key through Redis alone, when neither cluster nor operator can be had (--break-glass)',
    run: async (args) => (await import('./revoke.ts')).runRevoke(args, process.env),
  },
  {
    name: 'price',
    summary: 'say what the built-in list knows of the price of a model',
    run: async (args) => (await import('./price.ts')).runPrice(args),
  },
  { name: 'version', summary: 'print the version', run: async () => print(readVersion()) },
  { name: 'help', summary: 'print this', run: async () => print(usage()) },
];
const aliases: Readonly<Record<string, string>> = { '--help': 'help', '-h': 'help', '--version': 'version', '-v': 'version' };

const [word = '', ...args] = process.argv.slice(2);
const command = commands.find(({ name }) => name === (aliases[word] ?? word));
if (command === undefined) {
  process.stderr.write(`keywright: ${word === '' ? 'a command is missing' : `there is no command "${word}"`}\n\n${usage()}\n`);
  process.exitCode = usageExitCode;
} else {
  try {
    const code = await command.run(args);
    if (typeof code === 'number') process.exitCode = code;
  } catch (error) {
    const sentence = describeStartFailure(error);
    if (sentence === undefined) throw error;
    process.stderr.write(`keywright: ${sentence}\n`);
    // what has started already would keep the process going
    process.exit(1);
  }
}

function usage(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `usage: keywright COMMAND [ARGUMENT...]\n\n${rows.join('\n')}`;
}

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as { version: string };
  return version;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
