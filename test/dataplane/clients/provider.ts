import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Recording, routes } from './routes.ts';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';

const dialects = join(import.meta.dirname, '../../../proxy/dialects/testdata');
const own = join(import.meta.dirname, 'testdata');

/** How a provider behaves whose base URL ends so; the error bodies are recorded ones. */
export const behaviours = ['well', 'throttled', 'silent', 'breaking', 'hanging', 'choosy'] as const;
export type Behaviour = (typeof behaviours)[number];

export interface ReplayingProvider {
  url(behaviour: Behaviour): string;
  /** streams that have been sent half and are open */
  readonly hanging: () => number;
  /** paths that were asked for and that nobody has recorded */
  readonly unknown: readonly string[];
  close(): Promise<void>;
}

/** A provider that answers with recorded bytes, in pieces as a network would cut them. */
export async function startReplayingProvider(): Promise<ReplayingProvider> {
  const unknown: string[] = [];
  const hanging = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    void serve(request, response, { unknown, hanging }).catch(() => response.destroy());
  });
  server.keepAliveTimeout = 75_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: (behaviour) => `http://127.0.0.1:${port}/${behaviour}`,
    unknown,
    hanging: () => hanging.size,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Notes {
  readonly unknown: string[];
  readonly hanging: Set<ServerResponse>;
}

async function serve(request: IncomingMessage, response: ServerResponse, { unknown, hanging }: Notes): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const target = new URL(request.url ?? '/', 'http://provider');
  const [, behaviour, ...rest] = target.pathname.split('/');
  const path = toOpenAIPath(`/${rest.join('/')}`);
  if (behaviour === 'silent') return;
  const family = toFamily(path);
  if (behaviour === 'throttled') return sendError(response, 429, `${family}-429.json`);
  if (behaviour === 'choosy') return sendError(response, 400, `${family}-400.json`);
  const route = routes.find((each) => each.method === request.method && each.path.test(path));
  if (route === undefined) {
    unknown.push(`${request.method} ${path}`);
    return sendError(response, 404, `${family}-400.json`);
  }
  const text = Buffer.concat(parts).toString();
  const formStreams = /name="stream"\r\n\r\ntrue/i.test(text);
  const recording = route.answer({ query: target.searchParams, formStreams, json: parseJson(text) });
  const isCut = behaviour === 'breaking' || behaviour === 'hanging';
  await send(response, recording, isCut);
  if (!isCut) return void response.end();
  // what was written has to have left before the connection breaks
  if (behaviour === 'breaking') await sleep(50).then(() => response.destroy());
  else hanging.add(response);
}

/** Azure has the same calls below the name of a deployment, or below a word of its own. */
function toOpenAIPath(path: string): string {
  return path.replace(/^\/openai\/(?:deployments\/[^/]+|v1(?=\/)|(?=responses))\/?/, '/v1/');
}

function toFamily(path: string): string {
  if (path.startsWith('/v1/messages')) return 'anthropic';
  return /\/models\/[^/]+:/.test(path) ? 'gemini' : 'openai';
}

function sendError(response: ServerResponse, status: number, file: string): void {
  const limited = status === 429 ? { 'retry-after': '1' } : {};
  response.writeHead(status, { 'content-type': 'application/json', ...limited }).end(read(file));
}

async function send(response: ServerResponse, { file, type, id }: Recording, isCut: boolean): Promise<void> {
  const recorded = read(file);
  const bytes = id === undefined ? recorded : Buffer.from(recorded.toString().replace(/"resp_[^"]*"/, `"${id}"`));
  const isStream = type !== 'application/json';
  response.writeHead(200, { 'content-type': type, ...(isStream ? {} : { 'content-length': bytes.length }) });
  response.on('error', () => {});
  const end = isCut ? bytes.length / 2 : bytes.length;
  for (let from = 0; from < end; from += pieceBytes) {
    response.write(bytes.subarray(from, Math.min(from + pieceBytes, end)));
    await turn();
  }
}

/** A prime, so that it cuts lines, numbers and characters anywhere. */
const pieceBytes = 211;

function read(file: string): Buffer {
  try {
    return readFileSync(join(dialects, file));
  } catch {
    return readFileSync(join(own, file));
  }
}

function parseJson(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}
