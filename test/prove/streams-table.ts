import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { withTable } from '../../docs/with-table.ts';
import type { Latency } from './latency.ts';

export interface StreamsResult {
  readonly streams: number;
  readonly chunksPerSecond: number;
  /** that came through the proxy */
  readonly chunks: number;
  readonly direct: Latency;
  readonly through: Latency;
}

const page = join(import.meta.dirname, '..', '..', 'docs', 'streams.md');

/** Writes the table of the documentation anew. */
export function publishStreams({ streams, chunksPerSecond, chunks, direct, through }: StreamsResult): void {
  const row = (what: string, { p50Ms, p99Ms, maxMs }: Latency): string => `| ${what} | ${p50Ms} | ${p99Ms} | ${maxMs} |`;
  const lines = [
    '| from sending to arrival, in ms | p50 | p99 | max |',
    '| --- | --- | --- | --- |',
    row('provider to client, directly', direct),
    row('provider to proxy to client', through),
    '',
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${streams} streams of ${chunksPerSecond} chunks a second, ${chunks.toLocaleString('en')} chunks each way; ${cpus().length} cores, Node ${process.version.slice(1)}; provider, proxy and client are processes of one machine.`,
  ];
  writeFileSync(page, withTable(readFileSync(page, 'utf8'), 'latency', lines));
}
