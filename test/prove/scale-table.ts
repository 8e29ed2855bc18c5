import type { Stall } from './fleet.ts';
import type { Latency } from './latency.ts';
import type { ScaleResult } from './scale.ts';

export interface Measured {
  readonly at: string;
  readonly machine: { readonly cores: number; readonly processor: string; readonly memoryGiB: number; readonly node: string };
  readonly bareNodeMiB: number;
  readonly results: readonly ScaleResult[];
}

/** The table of the documentation. */
export function toScaleTable({ at, machine, bareNodeMiB, results }: Measured): string {
  const row = (what: string, show: (result: ScaleResult) => string | number): string => `| ${what} | ${results.map(show).join(' | ')} |`;
  const stall = ({ wallMs, cpuMs }: Stall): string => `${wallMs} (${cpuMs})`;
  const latency = ({ p50Ms, p99Ms, maxMs }: Latency): string => `${p50Ms} / ${p99Ms} / ${maxMs}`;
  return [
    `Measured on ${at}: ${machine.cores} cores (${machine.processor}), ${machine.memoryGiB} GiB, Node ${machine.node.slice(1)}, API server, etcd, Redis, operator, proxy and the client all on them.`,
    '',
    `| | ${results.map(({ keys }) => `${keys.toLocaleString('en')} VirtualKeys`).join(' | ')} |`,
    `| --- |${results.map(() => ' --- |').join('')}`,
    row('all created after, s', ({ createdSeconds }) => createdSeconds),
    row('all Ready after, s', ({ readySeconds }) => readySeconds),
    row('operator: memory at rest / highest, MiB', ({ operatorRestMiB, operatorPeakMiB }) => `${operatorRestMiB} / ${operatorPeakMiB}`),
    row('operator: writes a minute at rest', ({ writesPerMinuteAtRest }) => writesPerMinuteAtRest),
    row('operator: longest stall while all are made, ms (of CPU)', ({ operatorStallWhileLoading }) => stall(operatorStallWhileLoading)),
    row('operator: longest stall for single changes, ms (of CPU)', ({ operatorStallOfOneChange }) => stall(operatorStallOfOneChange)),
    row('operator restarted: leads after, s', ({ restart }) => restart.leadsSeconds),
    row('operator restarted: has looked at every key after, s', ({ restart }) => restart.quietSeconds),
    row('operator restarted: writes / reads of single objects', ({ restart }) => `${restart.writes} / ${restart.reads}`),
    row('operator restarted: memory at rest / highest, MiB', ({ restart }) => `${restart.restMiB} / ${restart.peakMiB}`),
    row('snapshot / its largest shard, KiB gzipped', ({ snapshotKiB, largestShardKiB }) => `${snapshotKiB} / ${largestShardKiB}`),
    row('proxy: from start to ready, ms', ({ proxyReadyMs }) => proxyReadyMs),
    row(`proxy: memory when ready, MiB (bare Node: ${bareNodeMiB})`, ({ proxyMiB }) => proxyMiB),
    row('proxy: longest stall until ready, ms (of CPU)', ({ proxyStallOfFirstLoad }) => stall(proxyStallOfFirstLoad)),
    row('proxy: longest stall for single changes, ms (of CPU)', ({ proxyStallOfOneChange }) => stall(proxyStallOfOneChange)),
    row('suspension: accepted → enforced, ms p50 / p99 / longest of 100', ({ suspension }) => latency(suspension)),
    row('other edit: accepted → enforced, ms p50 / p99 / longest of 100', ({ edit }) => latency(edit)),
  ].join('\n');
}
