import { type AdminServer, startAdminServer } from '../runtime/admin-server.ts';
import type { Lifecycle } from '../runtime/lifecycle.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { Proxy } from './server.ts';
import type { SnapshotIndex } from './snapshot/snapshot-index.ts';

/** After the drain time: in-stream refusals, the last settlements, closing sockets. */
const stopMarginMs = 15_000;

interface AdminOptions {
  readonly proxy: Proxy;
  readonly index: SnapshotIndex;
  readonly listen: { readonly host: string; readonly port: number };
  /** how long running requests may go on when the process ends */
  readonly drainMs: number;
  readonly lifecycle: Lifecycle;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Opens the port for probes, metrics and debug pages of a proxy. When the process ends, probes learn of it, streams finish, and only then does this port close. */
export async function openAdmin({ proxy, index, listen, drainMs, lifecycle, log, metrics }: AdminOptions): Promise<AdminServer> {
  const admin = await startAdminServer({
    listen,
    metrics,
    readiness: () => proxy.readiness(),
    debug: { snapshot: () => index.describe(), channels: () => proxy.channelHealth() },
    log,
  });
  // ends run in reverse order
  lifecycle.onStop('admin', () => admin.close());
  lifecycle.onStop('traffic', () => proxy.drain(), drainMs + stopMarginMs);
  return admin;
}
