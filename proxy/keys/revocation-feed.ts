import { hashTags } from '../../core/hash-tag.ts';
import { parseRevocationMessage, parseRevocations, revocationChannel, revocationsKey } from '../../core/revocation.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';
import type { Revocations } from './revocations.ts';

export interface RevocationFeedOptions {
  readonly link: RedisLink;
  readonly revocations: Revocations;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Pub/sub is at most once: what it lost is found by reading. */
const readEveryMs = 5_000;

/** Brings what stands in Redis to this proxy: each change as it is told, and all of it at every (re)connection and every five seconds. */
export function startRevocationFeed({ link, revocations, clock, log, metrics }: RevocationFeedOptions): { stop(): void } {
  let readMs: number | undefined;
  let timer: Timer;
  let stopped = false;
  metrics.gauge({
    name: 'revocations_connected',
    help: '1 while revocations reach this proxy through Redis.',
    collect: (gauge) => gauge.set(link.connected ? 1 : 0),
  });
  metrics.gauge({
    name: 'revocations_read_age_seconds',
    help: 'Time since this proxy has read all revocations in Redis; -1 before the first time.',
    collect: (gauge) => gauge.set(readMs === undefined ? -1 : Math.max(0, clock.now() - readMs) / 1000),
  });

  async function read(): Promise<void> {
    if (!link.connected || stopped) return;
    const replies = await link.trySend(hashTags.map((tag) => ['HGETALL', revocationsKey(tag)] as const));
    let failed: unknown;
    // of a cluster a part may be away: what the rest says counts
    for (const reply of replies) {
      if (reply.status === 'rejected') failed = reply.reason;
      else for (const revocation of parseRevocations(reply.value as unknown[])) revocations.take(revocation);
    }
    if (failed === undefined) readMs = clock.now();
    // the link says when Redis is away; what is left is one read less
    else log.debug({ event: 'revocations_not_read', err: failed }, 'not all revocations in Redis could be read');
  }

  function later(): void {
    timer = clock.after(readEveryMs, () => {
      void read().finally(() => {
        if (!stopped) later();
      });
    });
  }

  link.subscribe(revocationChannel, (message) => {
    const revocation = parseRevocationMessage(message);
    if (revocation !== undefined) revocations.take(revocation);
  });
  link.onConnected(() => void read());
  later();

  return {
    stop() {
      stopped = true;
      timer.cancel();
    },
  };
}
