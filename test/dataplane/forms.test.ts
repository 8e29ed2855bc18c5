import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sha256Hex } from '../../runtime/digest.ts';
import { runCommand } from '../support/child.ts';
import { keyText, makeChannelRecord, makeKeyRecord } from '../support/records.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { answerJson, startUpstream, type TestUpstream } from '../support/test-upstream.ts';

const chatOnly = 'sk-kw-chat0123456789abcdefghijklmnopqrstuvw';
let upstream: TestUpstream;
let proxy: TestProxy;
let python: string;

beforeAll(async () => {
  const script = join(import.meta.dirname, '../tools/python-sdks.sh');
  python = execFileSync('bash', [script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  upstream = await startUpstream((request, response) =>
    answerJson(response, request.url.includes('/images/') ? { created: 1, data: [{ b64_json: 'AAAA' }] } : { text: 'Hello' }),
  );
  const credential = { id: '000000000002', hash: sha256Hex(chatOnly), prefix: 'sk-kw', state: 'Active' } as const;
  proxy = await startTestProxy({
    channels: [makeChannelRecord(upstream.url, { models: [{ name: 'whisper-1', upstreamName: 'whisper' }, { name: '*' }] })],
    keys: [makeKeyRecord(), makeKeyRecord({ id: 'default/chat', uid: 'u2', credentials: [credential], access: { scopes: ['chat'] } })],
    settings: { maxBodyBytes: 32 << 20 },
  });
});
afterAll(async () => {
  await proxy.stop();
  await upstream.close();
});

it('forms of the Python client are read, forwarded and refused, and it reads a refusal while it is still sending', async () => {
  const output = await runCommand(python, [join(import.meta.dirname, 'form_calls.py'), proxy.url, keyText, chatOnly]);
  expect(JSON.parse(output)).toEqual({
    transcription: 'Hello',
    translation: 'Hello',
    edit: 'AAAA',
    variation: 'AAAA',
    refused: ['PermissionDeniedError', 403, 'scope_not_allowed'],
  });
  const forms = await Promise.all(
    upstream.requests.map(async ({ body, headers }) => {
      const form = await new Response(Buffer.from(body), { headers: { 'content-type': headers['content-type'] ?? '' } }).formData();
      return [...form.entries()].map(([name, value]) => `${name}=${typeof value === 'string' ? value : `${value.size} bytes`}`).toSorted();
    }),
  );
  expect(forms).toEqual([
    ['file=5000 bytes', 'language=en', 'model=whisper', 'timestamp_granularities[]=segment', 'timestamp_granularities[]=word'],
    ['file=5000 bytes', 'model=whisper'],
    ['image[]=5000 bytes', 'image[]=5000 bytes', 'model=gpt-image-2', 'n=2', 'prompt=a cat\r\n--'],
    ['image=5000 bytes', 'model=gpt-image-2', 'n=2'],
  ]);
});
