import type { Log } from './log.ts';

export interface Lifecycle {
  /**
   * What starts pushes its own end here. Ends run in reverse order, one after the other; one that fails or takes longer than `timeoutMs` (10 s unless told) is logged
   * and the next one runs.
   */
  onStop(name: string, stop: () => Promise<void> | void, timeoutMs?: number): void;
  /** runs the ends; every call gives the same promise, which never rejects */
  stop(): Promise<void>;
  readonly stopping: boolean;
  /** SIGTERM or SIGINT → stop → exit 0; a second signal → exit 1 at once */
  handleSignals(): void;
}

interface End {
  readonly name: string;
  readonly stop: () => Promise<void> | void;
  readonly timeoutMs: number;
}

/** `exit` is an argument so that a test of the signals survives. */
export function makeLifecycle(log: Log, exit: (code: number) => void = (code) => process.exit(code)): Lifecycle {
  const ends: End[] = [];
  let stopped: Promise<void> | undefined;

  async function runEnds(): Promise<void> {
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) await runEnd(end, log);
  }

  const lifecycle: Lifecycle = {
    onStop(name, stop, timeoutMs = 10_000) {
      ends.push({ name, stop, timeoutMs });
    },
    stop() {
      stopped ??= runEnds();
      return stopped;
    },
    get stopping() {
      return stopped !== undefined;
    },
    handleSignals() {
      const onSignal = (signal: NodeJS.Signals): void => {
        if (stopped !== undefined) return exit(1);
        log.info({ signal }, 'stopping');
        void lifecycle.stop().then(() => {
          log.info('stopped');
          exit(0);
        });
      };
      process.on('SIGTERM', onSignal);
      process.on('SIGINT', onSignal);
    },
  };
  return lifecycle;
}

async function runEnd({ name, stop, timeoutMs }: End, log: Log): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<'late'>();
  const timer = setTimeout(resolve, timeoutMs, 'late');
  try {
    const outcome = await Promise.race([Promise.resolve(stop()), late]);
    if (outcome === 'late') log.warn({ part: name, timeoutMs }, 'did not stop in time');
  } catch (error) {
    log.warn({ part: name, err: error }, 'failed to stop');
  } finally {
    clearTimeout(timer);
  }
}
