import { usageExitCode } from './usage-exit-code.ts';

/**
 * Settings come from the environment, are read once, and every mistake is told at once. A process declares its settings as one table; the table gives the types,
 * the parser and the rows of the documentation.
 */

interface SettingBase {
  readonly name: `KEYWRIGHT_${string}`;
  /** one sentence for the documentation */
  readonly description: string;
  /** as it would stand in the environment */
  readonly default?: string;
  readonly required?: boolean;
  /** the value is given as `Hidden` and never repeated in a mistake */
  readonly secret?: boolean;
}

export type Setting = SettingBase &
  (
    | { readonly kind: 'address' | 'boolean' | 'text' | 'list' }
    /** `minimum` and `maximum` in the setting's own unit; a duration's in milliseconds */
    | { readonly kind: 'integer' | 'duration'; readonly minimum?: number; readonly maximum?: number }
    | { readonly kind: 'choice'; readonly choices: readonly string[] }
    /** `protocols` without the colon */
    | { readonly kind: 'url'; readonly protocols?: readonly string[] }
  );

/** Property name in the code → its setting. */
export type SettingsTable = Readonly<Record<string, Setting>>;

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A text that must not be seen: printing and JSON give `[secret]`, only `reveal()` gives it. */
export interface Hidden {
  reveal(): string;
  toString(): string;
  toJSON(): string;
}

type Plain<S extends Setting> = S extends { readonly kind: 'address' }
  ? Address
  : S extends { readonly kind: 'integer' | 'duration' }
    ? number
    : S extends { readonly kind: 'boolean' }
      ? boolean
      : S extends { readonly kind: 'list' }
        ? readonly string[]
        : S extends { readonly kind: 'choice'; readonly choices: readonly (infer C)[] }
          ? C
          : string;
type Shown<S extends Setting> = S extends { readonly secret: true } ? Hidden : Plain<S>;
type Always = { readonly default: string } | { readonly required: true } | { readonly kind: 'list' };

/** The values of a table: durations in milliseconds, a list is never absent, anything else is absent without default and `required`. */
export type Settings<T extends SettingsTable> = { readonly [K in keyof T]: T[K] extends Always ? Shown<T[K]> : Shown<T[K]> | undefined };

export type ParsedSettings<T extends SettingsTable> =
  | { readonly ok: true; readonly settings: Settings<T> }
  /** `readable`: what is right all the same, for checks that tell more mistakes at once */
  | { readonly ok: false; readonly mistakes: string[]; readonly readable: Partial<Settings<T>> };

/** Gives the table back with its exact type; use it where the table is declared. */
export function defineSettings<const T extends SettingsTable>(table: T): T {
  return table;
}

/**
 * Reads a table's settings. An empty variable counts as absent (as charts and compose files write it). Unknown `KEYWRIGHT_*` variables are let be: Kubernetes itself
 * sets some (`KEYWRIGHT_PROXY_SERVICE_HOST`) in pods beside a Service of that name.
 * Gives typed values, or every mistake, each a sentence that begins with the variable's name.
 */
export function parseSettings<const T extends SettingsTable>(
  table: T,
  environment: Readonly<Record<string, string | undefined>>,
): ParsedSettings<T> {
  const mistakes: string[] = [];
  const settings: Record<string, unknown> = {};
  for (const [property, setting] of Object.entries(table)) {
    const text = environment[setting.name]?.trim() || setting.default;
    if (text === undefined) {
      if (setting.required === true) mistakes.push(`${setting.name} is required: ${setting.description}`);
      settings[property] = setting.kind === 'list' ? [] : undefined;
      continue;
    }
    const parsed = parseValue(setting, text);
    if ('mistake' in parsed) mistakes.push(`${setting.name} ${parsed.mistake}${setting.secret === true ? '' : `, not "${text}"`}`);
    else settings[property] = setting.secret === true ? hide(text) : parsed.value;
  }
  // the loop above filled exactly the table's properties with values of its kinds, less those with a mistake
  if (mistakes.length === 0) return { ok: true, settings: settings as Settings<T> };
  return { ok: false, mistakes, readable: settings as Partial<Settings<T>> };
}

/** Prints all mistakes on standard error and ends the process with exit code 64. */
export function exitWithMistakes(mistakes: readonly string[]): never {
  process.stderr.write(`keywright: ${mistakes.length === 1 ? 'a setting is' : `${mistakes.length} settings are`} wrong:\n`);
  for (const mistake of mistakes) process.stderr.write(`  ${mistake}\n`);
  process.exit(usageExitCode);
}

/** The rows of a settings table in Markdown (name, kind, default, meaning), sorted by name; the documentation is compared with them. */
export function toSettingsRows(table: SettingsTable): string[] {
  return Object.values(table)
    .toSorted((left, right) => (left.name < right.name ? -1 : 1))
    .map(
      (setting) =>
        `| \`${setting.name}\` | ${describeKind(setting)} | ${describeDefault(setting)} | ${setting.description.replaceAll('|', '\\|')} |`,
    );
}

type Parsed = { readonly value: unknown } | { readonly mistake: string };

function parseValue(setting: Setting, text: string): Parsed {
  switch (setting.kind) {
    case 'text':
      return { value: text };
    case 'list':
      return { value: text.split(/[\s,]+/).filter((item) => item !== '') };
    case 'boolean':
      return parseBoolean(text);
    case 'choice':
      return setting.choices.includes(text) ? { value: text } : { mistake: `must be one of ${setting.choices.join(', ')}` };
    case 'integer':
      return parseInteger(setting, text);
    case 'duration':
      return parseDuration(setting, text);
    case 'address':
      return parseAddress(text);
    case 'url':
      return parseUrl(text, setting.protocols);
  }
}

function parseBoolean(text: string): Parsed {
  return text === 'true' || text === 'false' ? { value: text === 'true' } : { mistake: 'must be true or false' };
}

function parseInteger(setting: { readonly minimum?: number; readonly maximum?: number }, text: string): Parsed {
  return /^-?\d{1,15}$/.test(text) ? within(setting, Number(text), '') : { mistake: 'must be a whole number' };
}

function within(setting: { readonly minimum?: number; readonly maximum?: number }, value: number, unit: string): Parsed {
  const { minimum = -Infinity, maximum = Infinity } = setting;
  if (value < minimum) return { mistake: `must be at least ${minimum}${unit}` };
  if (value > maximum) return { mistake: `must be at most ${maximum}${unit}` };
  return { value };
}

const durationUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function parseDuration(setting: { readonly minimum?: number; readonly maximum?: number }, text: string): Parsed {
  if (!/^(\d{1,9}(ms|s|m|h|d))+$/.test(text)) return { mistake: 'must be a duration such as 500ms, 30s or 1h30m' };
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) totalMs += Number(amount) * (durationUnitsMs[unit ?? ''] ?? 0);
  return within(setting, totalMs, 'ms');
}

/** `host:port`, `[v6]:port` or `:port` (every IPv4 address of the machine). Port 0 lets the system choose. */
function parseAddress(text: string): Parsed {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return { mistake: 'must be host:port' };
  return { value: { host: match[1] ?? (match[2] || '0.0.0.0'), port } satisfies Address };
}

function parseUrl(text: string, protocols: readonly string[] | undefined): Parsed {
  const wanted = protocols === undefined ? 'a URL' : `a URL that begins with ${protocols.map((protocol) => `${protocol}://`).join(' or ')}`;
  const protocol = URL.canParse(text) ? new URL(text).protocol.slice(0, -1) : undefined;
  if (protocol === undefined || (protocols !== undefined && !protocols.includes(protocol))) return { mistake: `must be ${wanted}` };
  return { value: text };
}

/** A text that from here on only `reveal()` gives. */
export function hide(text: string): Hidden {
  const mask = (): string => '[secret]';
  return Object.freeze({ reveal: () => text, toString: mask, toJSON: mask, [Symbol.for('nodejs.util.inspect.custom')]: mask });
}

function describeKind(setting: Setting): string {
  if (setting.kind === 'choice') return setting.choices.map((choice) => `\`${choice}\``).join(', ');
  if (setting.kind !== 'integer' && setting.kind !== 'duration') return setting.kind;
  const unit = setting.kind === 'duration' ? ' ms' : '';
  if (setting.minimum !== undefined && setting.maximum !== undefined)
    return `${setting.kind}, ${setting.minimum} to ${setting.maximum}${unit}`;
  if (setting.minimum !== undefined) return `${setting.kind}, at least ${setting.minimum}${unit}`;
  return setting.maximum === undefined ? setting.kind : `${setting.kind}, at most ${setting.maximum}${unit}`;
}

function describeDefault(setting: Setting): string {
  if (setting.default !== undefined) return `\`${setting.default}\``;
  return setting.required === true ? '*required*' : '';
}
