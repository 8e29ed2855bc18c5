import { randomUUID } from 'node:crypto';
import { makeRedisScript, type RedisScriptCall } from '../../../runtime/redis-script.ts';

/**
 * A random name per hash tag that stands in the store itself: another one means that somebody emptied it, although the master and its replication id are the same (FLUSHALL). An
 * admission names the life it knows and is decided in no other; a process without admissions looks by itself, because the others need to hear what it had been let in.
 */
export interface StoreLives {
  /** '' = not known yet */
  of(tag: string): string;
  /** the store has let something in there: from now on its life is looked at */
  used(tag: string): void;
  /** an admission was not decided because the store is in another life; resolves when it may be asked again */
  moved(tag: string): Promise<void>;
  /** while all processes tell what they had been let in; undefined: nothing to wait for */
  settling(tag: string): Promise<void> | undefined;
  /** looks at every tag that is used */
  look(): Promise<void>;
  stop(): void;
}

interface Options {
  readonly runAll: (calls: readonly RedisScriptCall[]) => Promise<readonly PromiseSettledResult<unknown>[]>;
  readonly readyFor: (tag: string) => boolean;
  /** tags with the same one are kept by one master and lost together; '' = not known */
  readonly masterOf: (tag: string) => string;
  /** the life of a tag is known for the first time */
  readonly onBegan: (tag: string) => void;
  /** the store of these tags is another one: resolves when it has been told what this process knows */
  readonly onAnother: (tags: readonly string[]) => Promise<unknown>;
}

const lookEveryMs = 250;
/** Every process has looked once and had time to tell. */
const settlingMs = 400;
/** As long as the budgets that stand beside it. */
const keptMs = 34_560_000_000;

const lifeScript = makeRedisScript(`
local life = redis.call('GET', KEYS[1])
if life then return life end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`);

/** Where in Redis the life of a tag stands. */
export function lifeKey(tag: string): string {
  return `kw:{${tag}}:life`;
}

export function makeStoreLives({ runAll, readyFor, masterOf, onBegan, onAnother }: Options): StoreLives {
  const lives = new Map<string, string>();
  /** used, and not known yet */
  const asked = new Set<string>();
  const settling = new Map<string, Promise<void>>();
  /** masters, or tags of which none is known */
  const looking = new Set<string>();

  const settle = (tags: readonly string[]): void => {
    const settled: Promise<void> = Promise.all([onAnother(tags), unrefSleep(settlingMs)]).then(() => {
      for (const tag of tags) if (settling.get(tag) === settled) settling.delete(tag);
    });
    for (const tag of tags) settling.set(tag, settled);
  };
  /** Gives those that are in another life than before. */
  const learn = async (asking: readonly string[]): Promise<readonly string[]> => {
    const tags = asking.filter((tag) => readyFor(tag));
    if (tags.length === 0) return [];
    const results = await runAll(tags.map((tag) => toLifeCall(tag)));
    const changed: string[] = [];
    for (const [position, tag] of tags.entries()) {
      const result = results[position];
      if (result?.status !== 'fulfilled') continue;
      const [before, life] = [lives.get(tag), String(result.value)];
      lives.set(tag, life);
      asked.delete(tag);
      if (before === undefined) onBegan(tag);
      else if (before !== life) changed.push(tag);
    }
    // at once: nothing may be asked in the new life before it has been told of the old one
    if (changed.length > 0) settle(changed);
    return changed;
  };
  const learnWithOthers = async (tags: readonly string[]): Promise<void> => {
    const changed = await learn(tags);
    const masters = new Set(changed.map(masterOf));
    await learn([...lives.keys()].filter((tag) => masters.has(masterOf(tag)) && !changed.includes(tag)));
  };
  const lookAt = async (master: string, tags: readonly string[]): Promise<void> => {
    if (looking.has(master)) return;
    looking.add(master);
    await learnWithOthers(tags);
    looking.delete(master);
  };
  /** Each master by itself: one that hangs is no reason to miss that another was emptied. */
  const tick = (): void => {
    const tags = [...oneOfEach([...lives.keys()], masterOf), ...asked];
    for (const [master, ofIt] of Map.groupBy(tags, (tag) => masterOf(tag) || tag)) void lookAt(master, ofIt);
  };
  const timer = setInterval(tick, lookEveryMs);
  timer.unref();

  return {
    of: (tag) => lives.get(tag) ?? '',
    used(tag) {
      if (lives.has(tag) || asked.has(tag)) return;
      asked.add(tag);
      void learn([tag]);
    },
    async moved(tag) {
      await learnWithOthers([tag]);
      await settling.get(tag);
    },
    settling: (tag) => settling.get(tag),
    async look() {
      await learn([...lives.keys(), ...asked]);
    },
    stop: () => clearInterval(timer),
  };
}

/** Where the master is not known each tag stands for itself. */
function oneOfEach(tags: readonly string[], masterOf: (tag: string) => string): string[] {
  return [...new Map(tags.map((tag) => [masterOf(tag) || tag, tag])).values()];
}

function toLifeCall(tag: string): RedisScriptCall {
  return { script: lifeScript, keyCount: 1, parameters: [lifeKey(tag), randomUUID(), String(keptMs)] };
}

function unrefSleep(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms).unref();
  return promise;
}
