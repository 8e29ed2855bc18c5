import { userInfo } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { anyObject, type Revocation } from '../core/revocation.ts';
import { makeRedisBoard } from '../operator/revocation/revocation-board.ts';
import { defineSettings, parseSettings } from '../runtime/environment.ts';
import { makeLog } from '../runtime/log.ts';
import { makeRedisLink } from '../runtime/redis-link.ts';
import { findRedisMistakes, type RedisSource, redisSettings, toRedisSource } from '../runtime/redis-settings.ts';
import { usageExitCode } from '../runtime/usage-exit-code.ts';

export interface RevokeOutput {
  /** results, and the line of the audit */
  print(line: string): void;
  complain(line: string): void;
  /** what is typed after this question; undefined: there is nobody to ask */
  ask(question: string): Promise<string | undefined>;
}

const revokeSettings = defineSettings({
  ...redisSettings,
  redisUrl: { name: 'KEYWRIGHT_REDIS_URL', kind: 'text', secret: true, required: true, description: 'the Redis of the proxies' },
});
const usage = 'usage: keywright revoke NAMESPACE/NAME --break-glass [--yes]';
/** EX_UNAVAILABLE of sysexits.h */
const unavailableExitCode = 69;
const connectMs = 5_000;
const keyIdPattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * Revokes a key with nothing but Redis: for when neither the API server nor an operator can be had. All proxies that reach Redis refuse the key at once, and the next leader makes it
 * permanent. Gives the exit code.
 */
export async function runRevoke(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  output: RevokeOutput = terminal,
): Promise<number> {
  const options = parseOptions(argv, environment);
  if ('mistakes' in options) {
    for (const mistake of options.mistakes) output.complain(`keywright: ${mistake}`);
    output.complain(usage);
    return usageExitCode;
  }
  const { keyId, redis, isSure } = options;
  if (!isSure) {
    const answer = await output.ask(`This ends the key ${keyId} for ever. Type its name to go on: `);
    if (answer !== keyId && answer !== keyId.slice(keyId.indexOf('/') + 1)) {
      output.complain(answer === undefined ? 'keywright: there is nobody to ask: give --yes' : 'keywright: nothing was revoked');
      return usageExitCode;
    }
  }
  return write(keyId, redis, output);
}

interface RevokeOptions {
  readonly keyId: string;
  readonly redis: RedisSource;
  readonly isSure: boolean;
}

function parseOptions(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): RevokeOptions | { readonly mistakes: readonly string[] } {
  const options = { 'break-glass': { type: 'boolean' }, yes: { type: 'boolean' } } as const;
  const { values, positionals, tokens } = parseArgs({ args: [...argv], strict: false, tokens: true, allowPositionals: true, options });
  const mistakes = tokens.flatMap((token) =>
    token.kind === 'option' && !(token.name in options) ? [`unknown flag ${token.rawName}; allowed: --break-glass, --yes`] : [],
  );
  const [keyId = '', ...others] = positionals;
  if (keyId === '') mistakes.push('which key? Give its NAMESPACE/NAME');
  else if (!keyIdPattern.test(keyId)) mistakes.push(`a key is named NAMESPACE/NAME, not "${keyId}"`);
  mistakes.push(...others.map((word) => `unexpected argument "${word}"`));
  const [namespace, name] = keyId.split('/');
  if (values['break-glass'] !== true)
    mistakes.push(
      `without --break-glass this command does nothing: with a cluster at hand use kubectl patch virtualkey ${name ?? 'NAME'} -n ${namespace || 'NAMESPACE'} --type=merge -p '{"spec":{"revoked":true}}'`,
    );
  const parsed = parseSettings(revokeSettings, environment);
  if (!parsed.ok) mistakes.push(...parsed.mistakes);
  const settings = parsed.ok ? parsed.settings : parsed.readable;
  mistakes.push(...findRedisMistakes(settings));
  const redis = toRedisSource(settings);
  return mistakes.length > 0 || redis === undefined ? { mistakes } : { keyId, redis, isSure: values.yes === true };
}

async function write(keyId: string, redis: RedisSource, output: RevokeOutput): Promise<number> {
  const log = makeLog({ level: 'silent', name: 'revoke' });
  const link = makeRedisLink({ ...redis, name: 'keywright-revoke', random: Math.random, log, readyCheck: false });
  const board = makeRedisBoard(link, { listens: false });
  try {
    await connected(link);
    const revocation: Revocation = { keyId, uid: anyObject, gen: 0, state: 'Revoked', ended: [] };
    await board.write(revocation);
    output.print(JSON.stringify(toAuditLine(keyId)));
    output.complain(`${keyId} is revoked on every proxy that reaches this Redis; the next leader of the operator makes it permanent`);
    return 0;
  } catch (error) {
    // of an answer of Redis only its first word: the rest may hold what was sent
    const reason = error instanceof Error ? (/^[A-Z]{3,}(?= )/.exec(error.message)?.[0] ?? link.reason) : link.reason;
    output.complain(`keywright: ${keyId} is NOT revoked: Redis did not take it (${reason})`);
    return unavailableExitCode;
  } finally {
    await link.close();
  }
}

async function connected(link: { onConnected(listener: () => void): void; readonly connected: boolean }): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error('no connection')), connectMs);
  link.onConnected(resolve);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Who is no proof: whoever has this user of Redis can write any name. Redis' own log of the user and this line together tell it. */
function toAuditLine(keyId: string): Record<string, unknown> {
  const [namespace = '', name = ''] = keyId.split('/');
  return {
    audit: true,
    time: new Date().toISOString(),
    type: 'KeyRevoked',
    key: keyId,
    namespace,
    name,
    actor: null,
    source: 'break-glass',
    systemUser: toUserName(),
  };
}

function toUserName(): string {
  try {
    return userInfo().username;
  } catch {
    return '';
  }
}

const terminal: RevokeOutput = {
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
  async ask(question) {
    if (!process.stdin.isTTY) return undefined;
    const reader = createInterface({ input: process.stdin, output: process.stderr });
    const answer = await reader.question(question);
    reader.close();
    return answer.trim();
  },
};
