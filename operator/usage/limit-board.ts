import { tagOf } from '../../core/hash-tag.ts';
import { shapeOf } from '../../core/limit.ts';
import { slotsKey, windowKey } from '../../core/limit-keys.ts';
import type { NamedWindow } from '../../core/limit-windows.ts';
import { type Counted, toUsed, toUsedCall } from '../../runtime/read-used.ts';
import type { RedisLink } from '../../runtime/redis-link.ts';

/** What is asked about one key or Channel. */
export interface LimitQuestion {
  /** what its limits are counted under */
  readonly holder: string;
  readonly windows: readonly NamedWindow[];
  /** requests in flight count too */
  readonly slots: boolean;
}

export interface LimitReading {
  /** in the order of the windows */
  readonly used: readonly number[];
  readonly inFlight: number;
}

/** Where limits are counted. */
export interface LimitBoard {
  readonly connected: boolean;
  /** In the order of the questions; undefined: who could tell is away. Changes nothing. Rejects when it may not ask, or with a bug. */
  read(questions: readonly LimitQuestion[]): Promise<readonly (LimitReading | undefined)[]>;
}

/** A script holds up everybody else: so many keys take about a third of a millisecond. */
const mostKeysPerCall = 32;

/** @param clockText gives what takes the place of Redis' clock, for tests */
export function makeRedisLimitBoard(link: Pick<RedisLink, 'connected' | 'tryRun'>, clockText = () => ''): LimitBoard {
  return {
    get connected() {
      return link.connected;
    },
    async read(questions) {
      const groups = toGroups(questions);
      const results = await link.tryRun(groups.map(({ counted }) => toUsedCall(counted, clockText())));
      const readings = Array.from<LimitReading | undefined>({ length: questions.length });
      for (const [index, { counted, asked }] of groups.entries()) {
        const result = results[index];
        if (result?.status === 'fulfilled') fill(readings, questions, { asked, used: toUsed(result.value, counted.length) });
        else if (!isAway(result?.reason)) throw result?.reason;
      }
      return readings;
    },
  };
}

/** What one call asks, and for which of the questions. */
interface Group {
  readonly counted: Counted[];
  readonly asked: number[];
}

/** Questions of one hash tag together, whatever their order. */
function toGroups(questions: readonly LimitQuestion[]): readonly Group[] {
  const groups: Group[] = [];
  const open = new Map<string, Group>();
  for (const [index, question] of questions.entries()) {
    const tag = tagOf(question.holder);
    const counted = toCounted(question);
    let group = open.get(tag);
    if (group === undefined || group.counted.length + counted.length > mostKeysPerCall) {
      group = { counted: [], asked: [] };
      open.set(tag, group);
      groups.push(group);
    }
    group.counted.push(...counted);
    group.asked.push(index);
  }
  return groups;
}

function toCounted({ holder, windows, slots }: LimitQuestion): Counted[] {
  const counted: Counted[] = windows.map((window) => ({ key: windowKey(holder, window), shape: shapeOf(window.span) }));
  return slots ? [...counted, { key: slotsKey(holder) }] : counted;
}

function fill(
  readings: (LimitReading | undefined)[],
  questions: readonly LimitQuestion[],
  { asked, used }: { asked: readonly number[]; used: readonly number[] },
): void {
  let position = 0;
  for (const index of asked) {
    const { windows = [], slots = false } = questions[index] ?? {};
    const ofWindows = used.slice(position, position + windows.length);
    position += windows.length;
    readings[index] = { used: ofWindows, inFlight: slots ? (used[position] ?? 0) : 0 };
    if (slots) position += 1;
  }
}

function isAway(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'RedisAway';
}
