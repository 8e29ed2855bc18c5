import { Secret } from '../../core/secret.ts';
import type { ChannelRecord, KeyRecord } from '../../core/snapshot.ts';
import { sha256Hex } from '../../runtime/digest.ts';

/** Keys and credentials of the tests: texts that no output may hold. */
export const keyText = 'sk-kw-0123456789abcdefghijklmnopqrstuvwxyz';
export const providerText = 'sk-provider-0f9e8d7c6b5a';

/** A key that may do everything, with `keyText` as its one credential. */
export function makeKeyRecord(changes: Partial<KeyRecord> = {}): KeyRecord {
  const credential = { id: '000000000001', hash: sha256Hex(keyText), prefix: 'sk-kw-0123', state: 'Active' } as const;
  return { id: 'default/app', uid: 'u1', generation: 1, gen: 0, state: 'Active', credentials: [credential], access: {}, ...changes };
}

/** A channel of OpenAI at this address that admits everybody. */
export function makeChannelRecord(baseUrl: string, changes: Partial<ChannelRecord> = {}): ChannelRecord {
  return {
    id: 'default/openai',
    uid: 'c1',
    generation: 1,
    provider: 'OpenAI',
    baseUrl,
    credentials: [{ name: 'main', weight: 1, secret: new Secret(providerText) }],
    authHeader: 'Authorization',
    authScheme: 'Bearer',
    priority: 0,
    weight: 1,
    namespaces: 'All',
    // a test that wants a provider to be late says so: a machine that is slow is none
    timeouts: { connectMs: 30_000, firstByteMs: 60_000, idleMs: 60_000, totalMs: 120_000 },
    retries: { attempts: 1, on: ['ConnectFailure', 'Reset', 'RateLimited', 'ServerError'] },
    headers: {},
    tls: {},
    ...changes,
  };
}
