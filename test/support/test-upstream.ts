import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface UpstreamRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface TestUpstream {
  readonly url: string;
  readonly requests: UpstreamRequest[];
  /** connections that clients closed before their answer was complete */
  aborted: number;
  close(): Promise<void>;
}

export type UpstreamHandler = (request: UpstreamRequest, response: ServerResponse, number: number) => void;

/** A provider on a real socket; the body is read before `answer` is called. */
export async function startUpstream(answer: UpstreamHandler): Promise<TestUpstream> {
  const requests: UpstreamRequest[] = [];
  const server = createServer((request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) upstream.aborted += 1;
    });
    void readAll(request).then((body) => {
      const { method = '', url = '', headers, rawHeaders } = request;
      const seen = { method, url, headers, rawHeaders, body };
      requests.push(seen);
      answer(seen, response, requests.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const upstream: TestUpstream = {
    url: `http://127.0.0.1:${port}`,
    requests,
    aborted: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return upstream;
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    // the client went away; the answer will find out
  }
  return Buffer.concat(chunks).toString();
}

export function answerJson(response: ServerResponse, value: unknown, status = 200, headers: Record<string, string> = {}): void {
  const body = JSON.stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers }).end(body);
}
