import { readdirSync } from 'node:fs';
import { findBadValues } from '../operator/config.ts';
import { findMistakes, toServerSettings } from '../proxy/config.ts';
import type { ServerSettings } from '../proxy/server.ts';
import { parseSettings, type Settings } from '../runtime/environment.ts';
import { findRedisMistakes } from '../runtime/redis-settings.ts';
import { parseStandaloneOptions, type StandaloneOptions, standaloneUsage } from './options.ts';
import { standaloneSettings } from './settings.ts';

interface StandaloneConfiguration {
  readonly options: StandaloneOptions;
  readonly settings: Settings<typeof standaloneSettings>;
  readonly server: ServerSettings;
}

/** Command line and environment, of which the first wins; everything that is wrong with either is told at once. */
export function readConfiguration(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): StandaloneConfiguration | { readonly mistakes: readonly string[] } {
  const command = parseStandaloneOptions(argv);
  const parsed = parseSettings(standaloneSettings, {
    ...environment,
    KEYWRIGHT_LISTEN: command.flags.listen ?? environment['KEYWRIGHT_LISTEN'],
    KEYWRIGHT_ADMIN_LISTEN: command.flags.admin ?? environment['KEYWRIGHT_ADMIN_LISTEN'],
    KEYWRIGHT_REDIS_URL: command.flags.redis ?? environment['KEYWRIGHT_REDIS_URL'],
  });
  const readable = parsed.ok ? parsed.settings : parsed.readable;
  const mistakes = [
    ...(command.ok ? [] : command.mistakes),
    ...(parsed.ok ? [] : parsed.mistakes),
    ...findMistakes(readable),
    ...findBadValues(readable),
    ...findRedisMistakes(readable),
    ...(command.manifests === undefined ? [] : findFolderMistakes(command.manifests)),
  ];
  if (command.ok && parsed.ok && mistakes.length === 0)
    return { options: command.options, settings: parsed.settings, server: toServerSettings(parsed.settings) };
  return { mistakes: command.ok ? mistakes : [...mistakes, `usage: ${standaloneUsage}`] };
}

/** A folder that goes away later keeps its objects; one that is not there at the start is a slip of the pen. */
function findFolderMistakes(directory: string): string[] {
  try {
    readdirSync(directory);
    return [];
  } catch (error) {
    return [
      `--manifests must be a folder that can be read, not "${directory}" (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`,
    ];
  }
}
