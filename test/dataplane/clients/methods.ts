import type { Scope } from '../../../core/snapshot.ts';
import type { Family } from './clients.ts';
import { anthropicMethods } from './methods-anthropic.ts';
import { geminiMethods } from './methods-gemini.ts';
import { mediaMethods } from './methods-media.ts';
import { openaiMethods } from './methods-openai.ts';
import { responsesMethods } from './methods-responses.ts';
import { unsupportedMethods } from './methods-unsupported.ts';

/** What a program says with one call. */
export interface Said {
  readonly model: string;
  readonly text: string;
  /** of an object that was made before */
  readonly id: string;
}

/** The arguments of one call; `parameters` is an object in Node and keywords in Python. `{ $file }` stands for an upload. */
export interface Arguments {
  readonly positional?: readonly unknown[];
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** One method of an SDK that the gateway serves: one entry here makes all its rows. */
export interface Method {
  readonly families: readonly Family[];
  /** the path from the client to the function, in Node and, where it is written otherwise, in Python */
  readonly node: string;
  readonly python?: string;
  readonly answer: 'value' | 'list' | 'stream' | 'bytes';
  /** a helper that reads a stream itself gives its result under these names */
  readonly final?: { readonly node: string; readonly python: string };
  readonly scope: Scope;
  /** who answers: a provider, the gateway from what it knows, or nobody */
  readonly by: 'provider' | 'gateway' | 'nobody';
  /** tokens and money are counted */
  readonly metered: boolean;
  /** it names a model; what is called when nothing else is asked for */
  readonly model: string | undefined;
  /** it asks for an object that the account keeps: its provider is the one that made it */
  readonly stored?: true;
  /** it has a body whose size a program decides */
  readonly body: boolean;
  call(said: Said): Arguments;
  /** some text that the answer has to hold */
  readonly expected: string;
  /** an error in its stream is an event of the API itself, which Python's SDK gives instead of an exception */
  readonly errorEvents?: true;
  /** parameters that refer to an object which only the account knows */
  readonly reference?: Readonly<Record<string, unknown>>;
}

export const methods: readonly Method[] = [
  ...openaiMethods,
  ...mediaMethods,
  ...responsesMethods,
  ...anthropicMethods,
  ...geminiMethods,
  ...unsupportedMethods,
];

/** How the table calls it. */
export function nameOf(method: Method): string {
  return method.answer === 'stream' ? `${method.node} (stream)` : method.node;
}
