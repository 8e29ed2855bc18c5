import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { makeChannelRecord, makeKeyRecord } from './records.ts';
import { startTestProxy } from './test-proxy.ts';

/**
 * A proxy that is a process of its own, so that what it holds can be measured: run with `--expose-gc` and the URL of its provider. Writes one line with the ports of the proxy
 * and of a second server, which tells at each request how much memory the process has had at most since the last one, and, after a collection, how much it has now and how
 * much of that something still refers to (the rest is what the allocator keeps for the next time).
 */
/** Linux; elsewhere the peak is the one since the start, and a test that is content with that is content with more than it has to be */
const peakReset = '/proc/self/clear_refs';

const [, , provider = '', maxBufferedBytes = ''] = process.argv;
const proxy = await startTestProxy({
  channels: [
    makeChannelRecord(provider, {
      models: [{ name: 'longer-name', upstreamName: 'other' }, { name: '*' }],
      // it waits for as long as the test likes
      timeouts: { connectMs: 60_000, firstByteMs: 120_000, idleMs: 120_000, totalMs: 120_000 },
    }),
  ],
  keys: [makeKeyRecord()],
  settings: { maxBodyBytes: 32 << 20, maxBufferedBytes: Number(maxBufferedBytes) },
});
const control = createServer((_request, response) => {
  const mostBytes = process.resourceUsage().maxRSS * 1024;
  globalThis.gc?.();
  if (existsSync(peakReset)) writeFileSync(peakReset, '5');
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  response.end(JSON.stringify({ nowBytes: rss, heldBytes: heapUsed + external, blockBytes: arrayBuffers, mostBytes }));
});
control.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ proxy: proxy.port, control: (control.address() as AddressInfo).port })}\n`);
});
process.once('SIGTERM', () => process.exit(0));
