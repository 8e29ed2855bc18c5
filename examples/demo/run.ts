/**
 * `make demo`: a standalone gateway with the sample manifests beside this file and the built-in fake provider. Prints the key and calls to try, makes one of them, and
 * goes on until it is interrupted. Nothing leaves this machine and nothing is kept.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const state = mkdtempSync(join(tmpdir(), 'keywright-demo-'));
const listen = process.env['DEMO_LISTEN'] ?? '127.0.0.1:8080';
const admin = process.env['DEMO_ADMIN'] ?? '127.0.0.1:9090';

const gateway = spawn(
  join(root, 'bin', 'keywright'),
  [
    'standalone',
    '--manifests',
    join(here, 'manifests'),
    '--state',
    state,
    '--listen',
    listen,
    '--admin',
    admin,
    '--fake-provider',
    '127.0.0.1:8099',
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
gateway.on('exit', (code) => {
  rmSync(state, { recursive: true, force: true });
  process.exit(code ?? 1);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => gateway.kill('SIGTERM'));

const address = await listening();
const key = await deliveredKey();
const call = `curl -s ${address}/v1/chat/completions -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '${body()}'`;
print(`
Keywright is running at ${address} (metrics: http://${admin}/metrics)

  A throw-away key, made by the operator from examples/demo/manifests:
    export KEY=${key}

  Call it:
    ${call}

  Stream it: the same with "stream": true. Anthropic's shape:
    curl -s ${address}/v1/messages -H "x-api-key: $KEY" -H "anthropic-version: 2023-06-01" -H "Content-Type: application/json" \\
      -d '{"model":"claude-sonnet-4-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'

  Google's shape:
    curl -s ${address}/v1beta/models/gemini-2.5-flash:generateContent -H "x-goog-api-key: $KEY" -H "Content-Type: application/json" \\
      -d '{"contents":[{"parts":[{"text":"Hello"}]}]}'

  With an SDK: new OpenAI({ baseURL: '${address}/v1', apiKey: process.env.KEY })

  Edit a file in examples/demo/manifests (limits, models, revoked: true) and call again.
`);
const answer = await fetch(`${address}/v1/chat/completions`, {
  method: 'POST',
  headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
  body: body(),
});
print(`That call answers ${answer.status}:\n  ${await answer.text()}\n\nInterrupt with Ctrl-C.`);
if (answer.status !== 200) gateway.kill('SIGTERM');

function body(): string {
  return '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}';
}

async function listening(): Promise<string> {
  for await (const line of createInterface({ input: gateway.stdout })) {
    if (!line.includes('"listening"')) {
      if (/"level":(50|60|"error"|"fatal")/.test(line)) process.stderr.write(`${line}\n`);
      continue;
    }
    gateway.stdout.resume();
    return (JSON.parse(line) as { address: string }).address;
  }
  throw new Error('the gateway ended before it listened');
}

async function deliveredKey(): Promise<string> {
  const file = join(state, 'secrets', 'default', 'demo-virtualkey.json');
  for (let attempt = 0; attempt < 100; attempt += 1) {
    try {
      const secret = JSON.parse(readFileSync(file, 'utf8')) as { data: Record<string, string> };
      return Buffer.from(secret.data['apiKey'] ?? '', 'base64').toString();
    } catch {
      await sleep(100);
    }
  }
  gateway.kill('SIGTERM');
  throw new Error(`no key appeared in ${file}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
