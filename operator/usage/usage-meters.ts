import type { Counter, Gauge, Registry } from 'prom-client';
import type { KeyUsage } from '../../core/key-usage.ts';
import { budgetWindowId, toBudgetField } from '../../core/budget.ts';
import { nanoUsdPerUsd, parseNanoUsd } from '../../core/money.ts';
import type { VirtualKey, VirtualKeyBudget } from '../../core/resources.ts';
import { makeSeriesBound } from '../../runtime/metrics.ts';
import { countAtScrape, counterOf, gaugeOf, type Series, showAtScrape } from '../metric.ts';
import type { UsageLedger } from './usage-ledger.ts';

export interface UsageMeters {
  readonly entries: Counter;
  readonly notices: Counter;
  readonly resets: Counter;
  readonly restored: Counter;
  /** nothing of what only a leader knows is shown from now on */
  stop(): void;
}

export interface UsageMetersOptions {
  readonly registry: Registry;
  readonly ledger: UsageLedger;
  readonly findKey: (keyId: string) => VirtualKey | undefined;
  readonly now: () => number;
  readonly unreadable: () => number;
  /** entries that were read and stand in no checkpoint */
  readonly lag: () => number;
  /** hash tags whose Streams could not be read */
  readonly unread: () => number;
  readonly maxKeySeries: number;
}

/** Of the leader: nobody else knows. */
export function makeUsageMeters(options: UsageMetersOptions): UsageMeters {
  const { registry, lag, unread, unreadable } = options;
  const behind = gaugeOf(
    registry,
    'keywright_usage_stream_lag',
    'Entries of the usage Streams that were read and that no checkpoint has yet',
  );
  const damaged = gaugeOf(registry, 'keywright_usage_unreadable', 'Usage documents that cannot be read and are therefore not written');
  const missing = gaugeOf(
    registry,
    'keywright_usage_unread_tags',
    'Parts of Redis (of 64) whose usage Streams could not be read at the last look',
  );
  countAtScrape(behind, (gauge) => gauge.set(lag()));
  countAtScrape(missing, (gauge) => gauge.set(unread()));
  countAtScrape(damaged, (gauge) => gauge.set(unreadable()));
  const budgets = measureBudgets(options);
  return {
    entries: counterOf(registry, 'keywright_usage_entries_total', 'Entries of the usage Streams, by what became of them', ['outcome']),
    notices: counterOf(registry, 'keywright_budget_notices_total', 'Shares of budgets that were reached and told of', ['reason']),
    resets: counterOf(registry, 'keywright_budget_resets_total', 'Budgets that were reset by hand'),
    restored: counterOf(registry, 'keywright_budget_restores_total', 'Keys whose spend was told to a Redis that asked for it'),
    stop() {
      for (const gauge of [behind, missing, damaged]) {
        countAtScrape(gauge, () => {});
        gauge.reset();
      }
      for (const gauge of budgets) showAtScrape(gauge, async () => []);
    },
  };
}

/** Between so many, the rest of this process has its turn. */
const keysPerTurn = 1_000;

/** At most so many keys have series of their own; the others have none, since a sum of budgets says nothing. */
function measureBudgets({ registry, ledger, findKey, now, maxKeySeries }: UsageMetersOptions): readonly Gauge[] {
  const spent: Gauge = gaugeOf(
    registry,
    'keywright_budget_spent_usd',
    'Spent in the present window of a budget, as of the last checkpoint',
    ['key', 'period'],
  );
  const limit: Gauge = gaugeOf(registry, 'keywright_budget_limit_usd', 'Amount of a budget', ['key', 'period']);
  const bound = makeSeriesBound(maxKeySeries, { now });
  const measure = async (toNanoUsd: (usage: KeyUsage, budget: VirtualKeyBudget) => number): Promise<readonly Series[]> => {
    const series: Series[] = [];
    let seen = 0;
    for (const usage of ledger.keys()) {
      if ((seen += 1) % keysPerTurn === 0) await new Promise((resolve) => setImmediate(resolve));
      const budgets = findKey(usage.id)?.spec.budgets ?? [];
      if (budgets.length === 0 || bound.label(usage.id) !== usage.id) continue;
      for (const budget of budgets)
        series.push({ labels: { key: usage.id, period: budget.period }, value: toNanoUsd(usage, budget) / nanoUsdPerUsd });
    }
    return series;
  };
  showAtScrape(spent, () => measure((usage, { period }) => usage.spent[toBudgetField(period, budgetWindowId(period, now()))] ?? 0));
  showAtScrape(limit, () => measure((_usage, budget) => parseNanoUsd(budget.limit)));
  return [spent, limit];
}
