import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** The call that a recording answers, as a client makes it. */
export interface RecordedCall {
  readonly path: string;
  readonly query?: string;
  /** its name, where several have one path */
  readonly surface?: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** what the names of its recordings begin with */
  readonly prefixes: readonly string[];
}

/** One file of recorded bytes of a provider. */
export interface Recording {
  readonly name: string;
  readonly bytes: Buffer;
  readonly isEventStream: boolean;
}

const messages = [{ role: 'user', content: 'Hello' }];
const gemini = '/v1beta/models/gemini-model';
const contents = [{ role: 'user', parts: [{ text: 'Hello' }] }];

/** A recording whose name begins with none of these has to be given its call here; the longest beginning counts. */
const calls: readonly RecordedCall[] = [
  {
    path: '/v1/chat/completions',
    body: { model: 'gpt-4o-mini', messages },
    prefixes: ['openai-chat', 'openai-choices', 'openai-tools', 'compatible'],
  },
  { path: '/v1/completions', body: { model: 'gpt-3.5-turbo-instruct', prompt: 'Hello' }, prefixes: ['openai-completions'] },
  { path: '/v1/embeddings', body: { model: 'text-embedding-3-small', input: 'Hello' }, prefixes: ['openai-embeddings'] },
  { path: '/v1/responses', body: { model: 'gpt-5-mini', input: 'Hello' }, prefixes: ['responses'] },
  {
    path: `${gemini}:generateContent`,
    surface: 'generate_content',
    body: { contents },
    prefixes: ['gemini-grounded', 'gemini-image', 'gemini-blocked'],
  },
  {
    path: `${gemini}:streamGenerateContent`,
    surface: 'stream_generate_content',
    query: '?alt=sse',
    body: { contents },
    prefixes: ['gemini-text.', 'gemini-thinking-tools.', 'gemini-error.'],
  },
  {
    path: `${gemini}:streamGenerateContent`,
    surface: 'stream_generate_content',
    body: { contents },
    prefixes: ['gemini-text-list', 'gemini-thinking-tools-list', 'gemini-error-list'],
  },
  { path: `${gemini}:embedContent`, surface: 'embed_content', body: { content: contents[0] }, prefixes: ['gemini-embed'] },
  { path: '/v1/messages', body: { model: 'claude-model', max_tokens: 64, messages }, prefixes: ['anthropic'] },
];

const dialects = join(import.meta.dirname, '../../proxy/dialects');

/** Everything that is recorded, whoever added it. */
export function readRecordings(): readonly Recording[] {
  return readdirSync(dialects, { recursive: true, encoding: 'utf8' })
    .filter((file) => /(?:^|\/)testdata\/.*\.(?:sse|json)$/.test(file))
    .toSorted()
    .map((file) => ({ name: basename(file), bytes: readFileSync(join(dialects, file)), isEventStream: file.endsWith('.sse') }));
}

export function callOf({ name }: Recording): RecordedCall {
  const lengthOf = ({ prefixes }: RecordedCall): number =>
    Math.max(0, ...prefixes.filter((prefix) => name.startsWith(prefix)).map((prefix) => prefix.length));
  const [best] = calls.toSorted((left, right) => lengthOf(right) - lengthOf(left));
  if (best === undefined || lengthOf(best) === 0) throw new Error(`test/support/recordings.ts does not know which call ${name} answers`);
  return best;
}

/** The same stream without the chunk of usage that only the gateway has asked for, found in another way than the gateway finds it. */
export function withoutUsageChunk(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  const events = text.split(/(?<=\r\n\r\n|\n\n|\r\r)/);
  return Buffer.from(events.filter((event) => !(/"choices":\s*\[\]/.test(event) && /"usage":\s*\{/.test(event))).join(''), 'latin1');
}
