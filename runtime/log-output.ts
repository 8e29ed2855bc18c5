import { writeSync } from 'node:fs';
import type { DestinationStream } from 'pino';

/** Where log lines go. A reader that is slow or has stopped holds up neither requests nor the end of the process. */
export interface LogOutput extends DestinationStream {
  /** Waits for the reader for as long as `withinMs`, holding up everything: for the end of the process. */
  flush(withinMs: number): void;
  /** the name by which pino asks for it before it lets a fatal error end the process */
  flushSync(): void;
}

export interface LogOutputOptions {
  /** writes some of the bytes and gives how many; throws EAGAIN while the reader has no room for any */
  readonly write: (bytes: Buffer) => number;
  /** monotonic milliseconds */
  readonly now: () => number;
  readonly mostWaitingBytes?: number;
}

/** Ten thousand access lines: enough for a reader that pauses, and no more memory than a request body may take. */
const defaultMostWaitingBytes = 4 * 1024 * 1024;
const retryMs = 20;
const lastFlushMs = 1_000;

/** Each line is written at once, whole and in order. While the reader has no room lines wait; beyond the bound they are dropped, and how many is said afterwards. */
export function makeLogOutput({ write, now, mostWaitingBytes = defaultMostWaitingBytes }: LogOutputOptions): LogOutput {
  const waiting: Buffer[] = [];
  let waitingBytes = 0;
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  /** Gives false while something waits. */
  function drain(): boolean {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      const written = writeSome(first);
      if (written === undefined) return false;
      waitingBytes -= written;
      if (written < first.length) waiting[0] = first.subarray(written);
      else waiting.shift();
      if (waiting.length === 0 && dropped > 0) tellDropped();
    }
    return true;
  }

  function writeSome(bytes: Buffer): number | undefined {
    try {
      return write(bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
      // nobody will ever read it (EPIPE), or there is nowhere to write: serving clients is worth more than its log
      isClosed = true;
      return bytes.length;
    }
  }

  function tellDropped(): void {
    const line = { level: 'warn', time: Date.now(), event: 'log_lines_dropped', lines: dropped, msg: 'nobody read the log fast enough' };
    dropped = 0;
    add(`${JSON.stringify(line)}\n`);
  }

  function add(line: string): void {
    const bytes = Buffer.from(line);
    waiting.push(bytes);
    waitingBytes += bytes.length;
  }

  function retryLater(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      if (!drain()) retryLater();
    }, retryMs).unref();
  }

  function flush(withinMs: number): void {
    const untilMs = now() + withinMs;
    while (!drain() && now() < untilMs) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }

  return {
    write(line) {
      if (isClosed) return;
      if (waiting.length > 0 && waitingBytes + line.length > mostWaitingBytes) dropped += 1;
      else {
        add(line);
        if (waiting.length > 1 || !drain()) retryLater();
      }
    },
    flush,
    flushSync: () => flush(lastFlushMs),
  };
}

let standardOutput: LogOutput | undefined;

/** Standard output, once a process. */
export function openStandardOutput(): LogOutput {
  if (standardOutput !== undefined) return standardOutput;
  // asked for by way of the stream, which makes a pipe one that does not block
  const { fd } = process.stdout;
  const output = makeLogOutput({ write: (bytes) => writeSync(fd, bytes), now: () => performance.now() });
  process.once('exit', () => output.flush(lastFlushMs));
  standardOutput = output;
  return output;
}
