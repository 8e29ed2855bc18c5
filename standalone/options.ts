import { parseArgs } from 'node:util';

export interface StandaloneOptions {
  readonly manifests: string;
  readonly state: string;
  /** address of the built-in fake provider; absent = none */
  readonly fakeProvider: string | undefined;
}

const flagNames = ['manifests', 'state', 'listen', 'admin', 'redis', 'fake-provider'] as const;

export const standaloneUsage = `keywright standalone --manifests DIR [--listen HOST:PORT] [--admin HOST:PORT] [--redis URL] [--state DIR] [--fake-provider HOST:PORT]`;

/** Flags that stand for a KEYWRIGHT_* setting and win over it; checked together with the settings. */
export type SettingFlags = Readonly<Record<'listen' | 'admin' | 'redis', string | undefined>>;

export type ParsedStandaloneOptions = { readonly flags: SettingFlags; readonly manifests: string | undefined } & (
  | { readonly ok: true; readonly options: StandaloneOptions }
  | { readonly ok: false; readonly mistakes: string[] }
);

/** The command line of `keywright standalone`; gives all mistakes at once. */
export function parseStandaloneOptions(argv: readonly string[]): ParsedStandaloneOptions {
  const { values, positionals, tokens } = parseArgs({
    args: [...argv],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(flagNames.map((name) => [name, { type: 'string' as const }])),
  });
  const text = (name: (typeof flagNames)[number]): string | undefined => (typeof values[name] === 'string' ? values[name] : undefined);
  const mistakes = positionals.map((word) => `unexpected argument "${word}"`);
  for (const token of tokens) if (token.kind === 'option') mistakes.push(...findFlagMistakes(token));
  const given = tokens.some((token) => token.kind === 'option' && token.name === 'manifests');
  if (!given) mistakes.push('--manifests is required: the folder with VirtualKey, Channel and Secret manifests');
  const fakeProvider = text('fake-provider');
  if (fakeProvider !== undefined && !(/^.+:\d{1,5}$/.test(fakeProvider) && Number(fakeProvider.split(':').at(-1)) <= 65_535))
    mistakes.push(`--fake-provider must be HOST:PORT, not "${fakeProvider}"`);
  const flags = { listen: text('listen'), admin: text('admin'), redis: text('redis') };
  const manifests = text('manifests');
  if (mistakes.length > 0) return { ok: false, mistakes, flags, manifests };
  return { ok: true, flags, manifests, options: { manifests: manifests ?? '', state: text('state') ?? './.keywright', fakeProvider } };
}

function findFlagMistakes({ name, value }: { readonly name: string; readonly value?: string | undefined }): string[] {
  if (!flagNames.some((known) => known === name))
    return [`unknown flag --${name}; allowed: ${flagNames.map((known) => `--${known}`).join(', ')}`];
  return value === undefined || value === '' ? [`--${name} needs a value`] : [];
}
