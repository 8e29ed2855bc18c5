import type { VirtualKey } from '../../core/resources.ts';
import type { Secret } from '../../core/secret.ts';
import type { Cluster, ReflectedEvent } from '../cluster/cluster.ts';
import { describeError } from '../describe-error.ts';
import { readInstallationSecret } from '../installation.ts';
import { wait } from '../wait.ts';
import type { Watches } from '../watches.ts';
import { Revocations, type RevocationsOptions } from './revocations.ts';

export interface RevocationWatchOptions extends Pick<RevocationsOptions, 'board' | 'clock' | 'log' | 'metrics' | 'onChange'> {
  readonly cluster: Pick<Cluster, 'get'>;
  /** where the installation secret is */
  readonly namespace: string;
  readonly watches: Pick<Watches, 'credentials' | 'virtualKeys' | 'waiting'>;
}

const installationRetryMs = 10_000;
/** With many keys nothing else may have to wait for all of them to be looked at. */
const mostAtOnce = 250;

/** Tells the board what has ended as the watches show it: on every replica, leader or not, because a leader that has just died is no reason for a key to live on. */
export class RevocationWatch {
  readonly revocations: Revocations;
  readonly #options: RevocationWatchOptions;
  #installationSecret: Secret | undefined;

  constructor(options: RevocationWatchOptions) {
    this.#options = options;
    this.revocations = new Revocations({
      ...options,
      recordOf: (keyId) => options.watches.credentials.get(keyId),
      installationSecret: () => this.#installationSecret,
      onConnected: () => void this.#seeAll(),
    });
  }

  /** The watches have listed everything: what changed before this replica could see records and keys together is told now. Ends with the signal. */
  async start(signal: AbortSignal): Promise<void> {
    const { board, cluster, namespace, clock, log } = this.#options;
    if (board === undefined) return;
    await this.#seeAll();
    while (this.#installationSecret === undefined && !signal.aborted) {
      try {
        this.#installationSecret = await readInstallationSecret(cluster, namespace);
      } catch (error) {
        log.warn(
          { error: describeError(error) },
          'until the installation secret can be read, the leader alone tells of single credentials',
        );
      }
      // the first leader ever is about to make it
      if (this.#installationSecret === undefined) await wait(clock, installationRetryMs, signal);
    }
  }

  /** The leader has read it, or made it. */
  knowInstallationSecret(secret: Secret): void {
    this.#installationSecret = secret;
  }

  /** Of a key that a list merely lacks it is not known that it has ended. */
  see(event: ReflectedEvent<VirtualKey>): void {
    if (event.type === 'Synced') return;
    if (event.type === 'Deleted' && !event.seen) return;
    this.revocations.see(event.object, { isGone: event.type === 'Deleted' || event.object.metadata.deletionTimestamp !== undefined });
  }

  async #seeAll(): Promise<void> {
    const { watches } = this.#options;
    if (watches.waiting().length > 0) return;
    let seen = 0;
    for (const virtualKey of watches.virtualKeys.values()) {
      this.revocations.see(virtualKey, { isGone: virtualKey.metadata.deletionTimestamp !== undefined });
      if ((seen += 1) % mostAtOnce === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
