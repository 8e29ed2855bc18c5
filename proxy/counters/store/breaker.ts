/**
 * Whether a store that fails is worth asking. Opens at 5 failures, or when more than half of the answers, within a second failed; from then on only a probe is sent,
 * and only a probe that succeeds closes it (half open). The prober decides when to probe.
 */
export interface Breaker {
  readonly open: boolean;
  success(): void;
  failure(): void;
  /** the outcome of a probe, the only thing that closes it */
  probed(succeeded: boolean): void;
}

const enoughFailures = 5;
const periodMs = 1_000;

export function makeBreaker({ now, onChange }: { now: () => number; onChange: (open: boolean) => void }): Breaker {
  let open = false;
  let periodStart = now();
  let successes = 0;
  let failures = 0;

  const startPeriod = (): void => {
    periodStart = now();
    successes = 0;
    failures = 0;
  };
  const rollPeriod = (): void => {
    const elapsedMs = now() - periodStart;
    if (elapsedMs >= periodMs || elapsedMs < 0) startPeriod();
  };
  const change = (value: boolean): void => {
    startPeriod();
    if (open === value) return;
    open = value;
    onChange(value);
  };
  return {
    get open() {
      return open;
    },
    success() {
      rollPeriod();
      successes += 1;
    },
    failure() {
      rollPeriod();
      failures += 1;
      if (failures >= enoughFailures || failures > successes) change(true);
    },
    probed(succeeded) {
      if (open && succeeded) change(false);
    },
  };
}
