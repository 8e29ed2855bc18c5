import { join } from 'node:path';
import { type Child, startChild } from './child.ts';

export type LogLine = Readonly<Record<string, unknown>>;

export interface KeywrightProcess {
  readonly pid: number;
  readonly child: Child;
  /** every JSON line it has logged so far, in order */
  readonly lines: readonly LogLine[];
  /** all of its standard output and error as text (for searching what must not be there) */
  output(): string;
  /** the first line whose `msg` is `event` or for which the function says true; those already written count. Fails when the process ends before. */
  waitForEvent(event: string | ((line: LogLine) => boolean), withinMs?: number): Promise<LogLine>;
  /** SIGTERM; gives the exit code */
  stop(withinMs?: number): Promise<number | null>;
  kill(signal?: NodeJS.Signals): void;
}

export interface SpawnOptions {
  /** another build of the program */
  readonly command?: readonly [string, ...string[]];
  /** sees each line as it comes and says whether it is kept: a long run logs more than fits in memory */
  readonly keep?: (line: LogLine) => boolean;
}

const program = join(import.meta.dirname, '..', '..', 'bin', 'keywright');

/**
 * Starts `bin/keywright` with these arguments and `KEYWRIGHT_*` settings (of the test's own environment only PATH, HOME and the temporary directory are handed on, so that a
 * developer's settings do not change a test).
 */
export function spawnKeywright(
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  { command = [program], keep = () => true }: SpawnOptions = {},
): KeywrightProcess {
  const { PATH, HOME, TMPDIR } = process.env;
  const lines: LogLine[] = [];
  const listeners = new Set<() => void>();
  let text = '';
  let rest = '';
  const [executable, ...first] = command;
  const child = startChild(executable, [...first, ...args], {
    environment: { PATH, HOME, TMPDIR, ...settings },
    onOutput(part) {
      const parts = (rest + part).split('\n');
      rest = parts.pop() ?? '';
      for (const complete of parts) {
        const line = parseLine(complete);
        if (!keep(line)) continue;
        lines.push(line);
        text += `${complete}\n`;
      }
      for (const listener of listeners) listener();
    },
  });

  async function waitForEvent(event: string | ((line: LogLine) => boolean), withinMs = 60_000): Promise<LogLine> {
    const matches = typeof event === 'string' ? (line: LogLine): boolean => line['msg'] === event : event;
    const what = typeof event === 'string' ? `"${event}"` : 'the awaited line';
    const tail = (): string => `its last lines:\n${text.slice(-2000)}\n${child.lastWords()}`;
    const { promise, resolve, reject } = Promise.withResolvers<LogLine>();
    const look = (): void => {
      const found = lines.find(matches);
      if (found !== undefined) resolve(found);
    };
    const timer = setTimeout(() => reject(new Error(`${what} was not logged within ${withinMs} ms; ${tail()}`)), withinMs);
    listeners.add(look);
    look();
    child.ended.then(
      (code) => reject(new Error(`keywright ${args.join(' ')} ended with ${String(code)} before ${what}; ${tail()}`)),
      reject,
    );
    return promise.finally(() => {
      clearTimeout(timer);
      listeners.delete(look);
    });
  }

  return {
    pid: child.pid,
    child,
    lines,
    output: () => `${text}${rest}\n${child.lastWords()}`,
    waitForEvent,
    stop: (withinMs) => child.stop(withinMs),
    kill: (signal = 'SIGKILL') => child.signal(signal),
  };
}

function parseLine(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as LogLine) : { text: line };
  } catch {
    return { text: line };
  }
}
