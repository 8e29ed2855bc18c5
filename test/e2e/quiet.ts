import { eventually } from '../support/eventually.ts';
import { type Installation, metric, type RunningProcess } from './installation.ts';

/** Every VirtualKey, Channel and Secret with its version, the lease left out. */
export async function readVersions(installation: Installation): Promise<ReadonlyMap<string, string>> {
  const path = '{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}';
  const text = await installation.kubectl('get', 'vk,chan,secret', '-A', '-o', `jsonpath=${path}`);
  return new Map(
    text
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );
}

/** The names of what was written, made or removed since. */
export async function findChanged(installation: Installation, before: ReadonlyMap<string, string>): Promise<string[]> {
  const after = await readVersions(installation);
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name));
}

/** Until it has looked at everything: its queue stays empty longer than anything is held back (5 s for a Channel's number of keys). */
export async function untilQuiet(operator: RunningProcess): Promise<void> {
  let reconciled = '';
  let sinceMs = performance.now();
  await eventually(
    async () => {
      const seen = (await metric(operator, 'keywright_reconcile_total')).join(',');
      if (seen !== reconciled) [reconciled, sinceMs] = [seen, performance.now()];
      return seen !== '' && performance.now() - sinceMs > 6_000;
    },
    { withinMs: 90_000, everyMs: 200 },
  );
}
