/**
 * Makes the calls that come on standard input, one JSON document a line, with the SDK that the first argument names, all at once; writes what came of each as a line.
 * A process of its own for each version of an SDK.
 */
import { createInterface } from 'node:readline';
import type { Call, Outcome } from './call.ts';

type Client = Readonly<Record<string, unknown>>;
type Maker = new (options: Readonly<Record<string, unknown>>) => Client;
type Answer = AsyncIterable<unknown> & { arrayBuffer(): Promise<ArrayBuffer> };
type Thrown = Error & Readonly<Record<string, unknown>>;

const sdk = (await import(process.argv[2] ?? '')) as Readonly<Record<string, unknown>>;
const toFile = sdk['toFile'] as ((bytes: Buffer, name: string, options: object) => Promise<unknown>) | undefined;

function makeClient({ family, url, key, headers, apiVersion }: Call['client']): Client {
  if (family === 'gemini') {
    const GoogleGenAI = sdk['GoogleGenAI'] as Maker;
    return new GoogleGenAI({ apiKey: key, apiVersion, httpOptions: { baseUrl: url, headers } });
  }
  if (family === 'azure') {
    const AzureOpenAI = sdk['AzureOpenAI'] as Maker;
    return new AzureOpenAI({ endpoint: url, apiKey: key, apiVersion, defaultHeaders: headers });
  }
  const Usual = sdk['default'] as Maker;
  return new Usual({ baseURL: url, apiKey: key, defaultHeaders: headers });
}

async function make(call: Call): Promise<Outcome> {
  const seen: unknown[] = [];
  try {
    const result = find(makeClient(call.client), call.method)(...(await toArguments(call)));
    const { value, requestId } = await read(call, result, seen);
    return { id: call.id, answered: true, value: toPlain(value), requestId };
  } catch (error) {
    return { id: call.id, answered: false, seen: seen.length, ...toFailure(error as Thrown) };
  }
}

/** The function at the end of a dotted path, bound to what it belongs to. */
function find(client: Client, method: string): (...given: unknown[]) => unknown {
  const names = method.split('.');
  const last = names.pop() ?? '';
  let owner: unknown = client;
  for (const name of names) owner = (owner as Client)[name];
  return ((owner as Client)[last] as (...given: unknown[]) => unknown).bind(owner);
}

async function toArguments({ positional = [], parameters }: Call): Promise<unknown[]> {
  return parameters === undefined ? [...positional] : [...positional, await withFiles(parameters)];
}

async function withFiles(parameters: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> {
  const entries = Object.entries(parameters).map(async ([name, value]) => {
    const file =
      typeof value === 'object' && value !== null && '$file' in value
        ? (value as { $file: string; base64: string; type: string })
        : undefined;
    return [
      name,
      file === undefined ? value : await toFile?.(Buffer.from(file.base64, 'base64'), file.$file, { type: file.type }),
    ] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function read(call: Call, result: unknown, seen: unknown[]): Promise<{ value: unknown; requestId?: string | undefined }> {
  if (call.final !== undefined) return { value: await ((result as Client)[call.final] as () => Promise<unknown>).call(result) };
  const answer = (await result) as Answer;
  if (call.answer === 'value') return { value: answer, requestId: requestIdOf(answer) };
  if (call.answer === 'bytes') return { value: Buffer.from(await answer.arrayBuffer()).toString('base64') };
  for await (const each of answer) seen.push(toPlain(each));
  return { value: seen };
}

/** Where the SDKs of OpenAI and Anthropic put it. */
function requestIdOf(answer: unknown): string | undefined {
  return (answer as Readonly<Record<string, string | undefined>> | undefined)?.['_request_id'];
}

function toPlain(value: unknown): unknown {
  return value === undefined ? null : (JSON.parse(JSON.stringify(value)) as unknown);
}

function toFailure(error: Thrown): Omit<Extract<Outcome, { answered: false }>, 'id' | 'answered' | 'seen'> {
  const body = error['error'] as { error?: { type?: unknown } } | undefined;
  return {
    exception: error.constructor.name,
    status: error['status'] as number | undefined,
    code: error['code'] ?? undefined,
    type: error['type'] ?? body?.error?.type,
    requestId: error['requestID'] as string | undefined,
    message: error.message,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  void make(JSON.parse(line) as Call).then((outcome) => process.stdout.write(`${JSON.stringify(outcome)}\n`));
}
