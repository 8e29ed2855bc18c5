import type { IncomingHttpHeaders } from 'node:http';

/** What the fake provider was asked; headers in lower case, with the credential as it came. */
export interface RecordedRequest {
  readonly method: string;
  /** the target as sent, with its query */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** undefined if the body is not JSON */
  readonly json: unknown;
  /** the client went away before the answer ended */
  readonly aborted: boolean;
}

/** The fixed usage of every generated answer, in tokens. */
export const fakeUsage = { input: 24, output: 12 } as const;

export interface FakeUsage {
  /** all input tokens, cache reads and writes among them */
  readonly input: number;
  /** all output tokens, reasoning among them */
  readonly output: number;
  readonly cachedInput?: number;
  readonly cacheWrite?: number;
  readonly reasoning?: number;
}

/** Overrides of one answer; what is absent stays as the provider would have it. */
export interface FakeAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** sent as it is (an object as JSON) instead of a generated answer */
  readonly body?: string | object;
  /** before the headers */
  readonly delayMs?: number;
  /** between two events of a stream */
  readonly chunkDelayMs?: number;
  /** how many pieces of text a stream has, or the pieces */
  readonly chunks?: number | readonly string[];
  readonly usage?: FakeUsage;
  /** the connection breaks there */
  readonly failAt?: 'beforeHeaders' | 'midStream';
  /** any other credential gets the provider's 401 */
  readonly requireCredential?: string;
}

export type Behaviour = (request: RecordedRequest) => FakeAnswer | undefined | Promise<FakeAnswer | undefined>;

/** What a provider's module makes an answer of. */
export interface FakeRequest {
  readonly method: string;
  /** without query */
  readonly path: string;
  readonly query: string;
  readonly json: unknown;
  readonly headers: IncomingHttpHeaders;
}

/** `body` for a whole answer, `events` (server-sent events, each with its blank line, or pieces of a list) for a stream. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly events?: readonly string[];
}

const words = 'Hello from the built-in fake provider: every answer has these same words.'.split(/(?<= )/);

/** The pieces of text of a stream; together they are the text of a whole answer. */
export function toPieces(chunks: FakeAnswer['chunks']): readonly string[] {
  if (chunks === undefined) return words;
  if (typeof chunks !== 'number') return chunks;
  return Array.from({ length: chunks }, (_, position) => words[position % words.length] ?? '');
}

/** A field of a JSON object; undefined for anything else. */
export function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
