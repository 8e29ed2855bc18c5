import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chatAnswer } from './chat.ts';
import { answerJson } from './test-upstream.ts';

export type Fault =
  | 'none'
  | 'killed'
  | 'slow'
  | '429'
  | '500'
  | '401'
  | 'broke'
  | 'garbage'
  | 'half a head'
  | 'half a stream'
  | 'gated model';

/** A provider on a real socket that can be made to fail in one of many ways, and to be well again. */
export interface FaultyUpstream {
  readonly url: string;
  readonly requests: number;
  fail(fault: Fault): Promise<void>;
  close(): Promise<void>;
}

export const gatedModel = 'gated';
const words = ['Hel', 'lo'];

export async function startFaultyUpstream(): Promise<FaultyUpstream> {
  let fault: Fault = 'none';
  let requests = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      requests += 1;
      const body = JSON.parse(Buffer.concat(chunks).toString()) as { readonly model: string; readonly stream?: boolean };
      if (fault === 'gated model' && body.model !== gatedModel) answerWell(response, body.stream === true);
      else faults[fault](response, body.stream === true);
    });
    request.on('error', () => {});
  });
  const listen = (port: number): Promise<void> => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    get requests() {
      return requests;
    },
    async fail(next) {
      if (next === 'killed') await close();
      else if (fault === 'killed') await listen(port);
      fault = next;
    },
    close: () => (fault === 'killed' ? Promise.resolve() : close()),
  };
}

function answerWell(response: ServerResponse, isStream: boolean): void {
  if (!isStream) return answerJson(response, chatAnswer);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(`${words.map(toEvent).join('')}data: ${JSON.stringify({ choices: [], usage: chatAnswer.usage })}\n\ndata: [DONE]\n\n`);
}

function toEvent(content: string): string {
  return `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content } }] })}\n\n`;
}

const toError = (message: string, code: string, type = code): unknown => ({ error: { message, type, param: null, code } });

const faults: Readonly<Record<Fault, (response: ServerResponse, isStream: boolean) => void>> = {
  none: answerWell,
  killed: (response) => void response.destroy(),
  // the proxy gives it up
  slow: () => {},
  '429': (response) =>
    answerJson(response, toError('Rate limit reached for org-secret', 'rate_limit_exceeded'), 429, { 'retry-after': '1' }),
  '500': (response) => answerJson(response, toError('org-secret: internal', 'server_error'), 500),
  '401': (response) => answerJson(response, toError('Incorrect API key provided: org-secret', 'invalid_api_key'), 401),
  broke: (response) => answerJson(response, toError('You exceeded your current quota: org-secret', 'insufficient_quota'), 429),
  garbage: (response) => void response.socket?.end('org-secret is no HTTP\r\n\r\n'),
  'half a head': (response) => void response.socket?.end('HTTP/1.1 200 OK\r\ncontent-type: applica'),
  'half a stream': (response, isStream) => {
    if (!isStream) return answerWell(response, false);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(toEvent(words[0] ?? ''), () => response.socket?.destroy());
  },
  'gated model': (response) => answerJson(response, toError('Project org-secret does not have access to model', 'model_not_found'), 403),
};
