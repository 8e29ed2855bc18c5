import type { RedisScriptCall } from '../../../runtime/redis-script.ts';

/** One connection to a store that runs our scripts. */
export interface ScriptStore {
  /** calls can be run for every tag */
  readonly ready: boolean;
  /** of a cluster a part may be away */
  readyFor(tag: string): boolean;
  /** names the node that holds this tag; '' while that is not known */
  placeOf(tag: string): string;
  /**
   * The replication id of the master that holds this hash tag: another one means that writes it acknowledged may be gone. Known before the first call is sent to it; '' where it may not be
   * asked. A call that names it is refused, not sent on, when the tag has moved to a master with another.
   */
  epochOf(tag: string): string;
  run(call: RedisScriptCall): Promise<unknown>;
  /** in one go, in order */
  runAll(calls: readonly RedisScriptCall[]): Promise<readonly PromiseSettledResult<unknown>[]>;
  /** resolves when the node of this tag takes writes */
  probe(tag: string): Promise<void>;
  watch(listener: { onReady: () => void; onLost: (reason: string) => void }): void;
  close(): Promise<void>;
}
