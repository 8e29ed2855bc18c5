import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatUsageCheckpoint, parseUsageCheckpoint } from '../core/usage-checkpoint.ts';
import type { LoadedUsage, UsageStore } from '../operator/usage/usage-secrets.ts';
import { writeDurably } from './state-store.ts';

/**
 * What the keys have used, in one file of the state folder (0600, written beside and renamed, so that a crash leaves the old or the new one). One that cannot be read is not
 * written over: what was spent stands in it.
 */
export function makeUsageFile(directory: string): UsageStore & { read(): LoadedUsage } {
  const file = join(directory, 'usage.json');
  function read(): LoadedUsage {
    const text = readIfThere(file);
    if (text === undefined) return { checkpoints: [], unreadable: new Map() };
    const parsed = parseUsageCheckpoint(text);
    if (!parsed.ok) return { checkpoints: [], unreadable: new Map([[0, parsed.message]]) };
    return { checkpoints: [parsed.checkpoint], unreadable: new Map() };
  }
  return {
    buckets: 1,
    read,
    load: async () => read(),
    write: (checkpoint) => writeDurably(file, `${formatUsageCheckpoint(checkpoint)}\n`),
  };
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
