import { expect, it } from 'vitest';
import { runLimits, type Scenario } from './limits-run.ts';
import { publish } from './limits-table.ts';

/** Eleven whole windows after the first. Only runs of this length are published. */
const usualMinutes = 12.5;
const minutes = Number(process.env['KEYWRIGHT_PROVE_MINUTES'] ?? usualMinutes);

function bothManners(unit: Scenario['unit'], limit: number, clientsPerProxy: number, everyMs: number): Scenario[] {
  const field = { requests: 'rpm', tokens: 'tpm', concurrency: 'concurrency' }[unit];
  return (['polling', 'obedient'] as const).map((manner) => ({
    name: `${field}-${limit}-${manner}`,
    unit,
    limit,
    manner,
    clientsPerProxy,
    everyMs: manner === 'polling' ? everyMs : 0,
  }));
}

const scenarios: readonly Scenario[] = [
  ...bothManners('requests', 60, 1, 30),
  ...bothManners('requests', 600, 2, 60),
  ...bothManners('tokens', 300_000, 2, 60),
  ...bothManners('concurrency', 8, 4, 60),
  { name: 'rpm-60000-polling', unit: 'requests', limit: 60_000, manner: 'polling', clientsPerProxy: 16, everyMs: 44 },
];

for (const mode of (process.env['KEYWRIGHT_PROVE_MODES'] ?? 'strict').split(',')) {
  it(
    `${mode}: three proxies never admit more than a limit in any window of Redis, and at least 0.95 of it`,
    async () => {
      const result = await runLimits(scenarios, { mode, minutes });
      process.stdout.write(`${JSON.stringify(result, undefined, 1)}\n`);
      // a machine that gives Redis no processor for a quarter of a second proves nothing about limits that Redis keeps
      expect({ degraded: result.degraded, late: result.lateAnswers }, 'the machine was too busy for Redis to answer').toEqual({
        degraded: 0,
        late: 0,
      });
      for (const { scenario, others, most, windows, utilisation } of result.scenarios) {
        expect(others, scenario.name).toEqual([]);
        expect(most, scenario.name).toBeLessThanOrEqual(scenario.limit);
        if (windows >= 10) expect(utilisation, scenario.name).toBeGreaterThanOrEqual(0.95);
      }
      if (minutes >= usualMinutes) publish(result);
    },
    (minutes + 3) * 60_000,
  );
}
