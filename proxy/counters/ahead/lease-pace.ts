/** How many admissions came lately. Two slots of a fixed length, so that it costs the same whatever comes. */
export interface Pace {
  slot: number;
  now: number;
  before: number;
}

const slotMs = 250;

export function makePace(): Pace {
  return { slot: 0, now: 0, before: 0 };
}

/** One more came. */
export function passed(pace: Pace, nowMs: number): void {
  turn(pace, nowMs);
  pace.now += 1;
}

/** As many may be expected within 250 ms. */
export function expectedSoon(pace: Pace, nowMs: number): number {
  turn(pace, nowMs);
  return Math.max(pace.now, pace.before);
}

function turn(pace: Pace, nowMs: number): void {
  const slot = Math.floor(nowMs / slotMs);
  if (slot === pace.slot) return;
  pace.before = slot === pace.slot + 1 ? pace.now : 0;
  pace.now = 0;
  pace.slot = slot;
}
