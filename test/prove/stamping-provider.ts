/**
 * A provider as a process of its own, whose streams say in each chunk when it was sent: `process.hrtime` is the clock of the machine, the same in all of its processes.
 * It tells its address on standard output and ends with its input.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { chunks: { type: 'string' }, every: { type: 'string' } } });
const chunks = Number(values.chunks);
const everyMs = Number(values.every);

const toMicroseconds = (): number => Number(process.hrtime.bigint() / 1000n);

/** What a model writes between two stamps is a few words. */
function toEvent(sentMicroseconds: number): string {
  const choice = { index: 0, delta: { content: 'some words of an answer ' }, logprobs: null, finish_reason: null };
  return `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: sentMicroseconds, model: 'gpt-4o-mini', choices: [choice] })}\n\n`;
}

function stream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const startedMs = performance.now();
  let sent = 0;
  const next = (): void => {
    if (response.destroyed) return;
    if (sent === chunks) return void response.end('data: [DONE]\n\n');
    sent += 1;
    response.write(toEvent(toMicroseconds()));
    // by the start, so that what one is late by does not move those after it
    setTimeout(next, Math.max(0, startedMs + sent * everyMs - performance.now()));
  };
  next();
}

const server = createServer((request, response) => {
  request.resume().on('end', () => stream(response));
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`));
process.stdin.resume().on('end', () => process.exit());
