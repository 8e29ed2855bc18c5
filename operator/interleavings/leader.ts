import type { Cluster, ClusterObject, ReflectOptions, SecretObject, WriteOutcome } from '../cluster/cluster.ts';
import { ClusterError } from '../cluster/cluster.ts';
import type { Operator } from '../operator.ts';
import type { World } from '../test-world.ts';

/** Told of every write that a leader makes, before it is made. */
export type OnWrite = (leader: Leader, object: ClusterObject) => void;

/** An operator that believes to lead, with a view of its own: it may lag behind, and it may die at any of its writes. For tests. */
export class Leader {
  readonly #world: World;
  readonly #onWrite: OnWrite;
  readonly #operator: Operator;
  readonly #held: (() => void)[] = [];
  #isBehind = false;
  /** how many writes it still makes, and whether the last one arrives although nobody hears so */
  #fuse: { left: number; arrives: boolean } | undefined;
  isDead = false;
  writes = 0;

  constructor(world: World, onWrite: OnWrite) {
    this.#world = world;
    this.#onWrite = onWrite;
    this.#operator = world.startReplica(this.#toView(world.cluster));
    void this.#operator.lead().catch(() => undefined);
  }

  /** From now on no event reaches it. */
  fallBehind(): void {
    this.#isBehind = true;
  }

  catchUp(): void {
    this.#isBehind = false;
    for (const tell of this.#held.splice(0)) tell();
  }

  dieAfter(writes: number, arrives: boolean): void {
    this.#fuse ??= { left: writes, arrives };
  }

  async kill(): Promise<void> {
    this.isDead = true;
    // What it still waits for needs time that passes for nobody: it is dead.
    void this.#operator.stop();
    await this.#world.settle();
  }

  #toView(cluster: Cluster): Cluster {
    return {
      reflect: <T extends ClusterObject>(options: ReflectOptions<T>) =>
        cluster.reflect<T>({
          ...options,
          onEvent: (event) => {
            const tell = (): void => (this.isDead ? undefined : options.onEvent(event));
            if (this.#isBehind) this.#held.push(tell);
            else tell();
          },
        }),
      get: (reference) => this.#read(() => cluster.get(reference)),
      list: (options) => this.#read(() => cluster.list(options)),
      listEach: (options, take) => this.#read(() => cluster.listEach(options, take)),
      create: (object) => this.#write(object, () => cluster.create(object)),
      replace: (object) => this.#write(object, () => cluster.replace(object)),
      patchStatus: (object, status) => this.#write(object, () => cluster.patchStatus(object, status)),
      remove: (reference, precondition) => this.#read(() => cluster.remove(reference, precondition)),
      recordEvent: (event) => (this.isDead ? undefined : cluster.recordEvent(event)),
      close: async () => undefined,
    };
  }

  async #read<T>(read: () => Promise<T>): Promise<T> {
    if (this.isDead) throw dead();
    return read();
  }

  async #write<T extends ClusterObject>(object: T, write: () => Promise<WriteOutcome<T>>): Promise<WriteOutcome<T>> {
    if (this.isDead) throw dead();
    const isLast = this.#fuse !== undefined && (this.#fuse.left -= 1) < 0;
    if (isLast) this.isDead = true;
    if (isLast && this.#fuse?.arrives === false) throw dead();
    this.#onWrite(this, object);
    const outcome = await write();
    if (outcome.outcome === 'written') this.writes += 1;
    if (this.isDead) throw dead();
    return outcome;
  }
}

export function isSecret(object: ClusterObject): object is SecretObject {
  return object.kind === 'Secret';
}

function dead(): ClusterError {
  return new ClusterError('Unavailable', 'the process is dead');
}
