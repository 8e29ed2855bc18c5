import type { Exchange } from './exchange.ts';

/** The requests that run now: their number, and those of one key (to end them when it is revoked). */
export interface InFlight {
  add(exchange: Exchange): void;
  remove(exchange: Exchange): void;
  readonly count: number;
  all(): Iterable<Exchange>;
  /** resolves as soon as nothing runs; at once if nothing does */
  idle(): Promise<void>;
}

export function makeInFlight(): InFlight {
  const running = new Set<Exchange>();
  const waiting: (() => void)[] = [];
  return {
    add(exchange) {
      running.add(exchange);
    },
    remove(exchange) {
      running.delete(exchange);
      if (running.size > 0) return;
      for (const resolve of waiting.splice(0)) resolve();
    },
    get count() {
      return running.size;
    },
    all: () => running.values(),
    idle() {
      if (running.size === 0) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push(resolve);
      return promise;
    },
  };
}
