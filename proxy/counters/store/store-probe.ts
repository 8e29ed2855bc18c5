import { awaitReply } from './await-reply.ts';

export interface StoreProbe {
  /** asks in a moment, and again until it is not needed any more */
  soon(): void;
  stop(): void;
}

interface Options {
  readonly probe: () => Promise<void>;
  readonly needed: () => boolean;
  readonly onProbed: (answered: boolean) => void;
  readonly deadlineMs: number;
  readonly monotonicNow: () => number;
}

const probeEveryMs = 250;

/** Finds out whether a store that failed takes writes again: one question at a time, and answered as fast as an admission has to be. */
export function makeStoreProbe({ probe, needed, onProbed, deadlineMs, monotonicNow }: Options): StoreProbe {
  let probing = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const soon = (): void => {
    if (probing || stopped) return;
    probing = true;
    timer = setTimeout(() => void ask(), probeEveryMs);
    timer.unref();
  };
  const ask = async (): Promise<void> => {
    const answer = probe();
    const { outcome } = await awaitReply(answer, { deadlineMs, monotonicNow });
    if (outcome === 'late') await answer.catch(() => {});
    onProbed(outcome === 'reply');
    probing = false;
    if (needed()) soon();
  };
  return {
    soon,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
