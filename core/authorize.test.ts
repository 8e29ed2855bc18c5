import { describe, expect, it } from 'vitest';
import { checkAddress, checkModels, checkScope, checkStanding, compileKey } from './authorize.ts';
import type { CredentialEntry, KeyAccess, KeyRecord, Scope } from './snapshot.ts';

const nowMs = 1_000_000;
const active: CredentialEntry = { id: '0123456789ab', hash: 'a'.repeat(64), prefix: '', state: 'Active' };

function recordWith(fields: Partial<KeyRecord>): KeyRecord {
  return { id: 'default/app', uid: 'u', generation: 1, gen: 0, state: 'Active', credentials: [active], access: {}, ...fields };
}

function keyWith(access: KeyAccess): ReturnType<typeof compileKey> {
  return compileKey(recordWith({ access }), () => true);
}

describe('checkStanding', () => {
  const standing = (fields: Partial<KeyRecord>, credential: Partial<CredentialEntry> = {}): string | undefined =>
    checkStanding({ key: compileKey(recordWith(fields), () => true), credential: { ...active, ...credential }, nowMs })?.code;

  it.each([
    ['in order', {}, {}, undefined],
    ['revoked', { state: 'Revoked' }, {}, 'key_revoked'],
    ['never accepted', { state: 'NotReady' }, {}, 'key_not_ready'],
    ['suspended', { state: 'Suspended' }, {}, 'key_suspended'],
    ['expiring in a millisecond', { expiresAt: nowMs + 1 }, {}, undefined],
    ['expired this millisecond', { expiresAt: nowMs }, {}, 'key_expired'],
    ['with an expiry that could not be read', { expiresAt: 0 }, {}, 'key_expired'],
    ['valid from now on', {}, { notBefore: nowMs }, undefined],
    ['not yet valid', {}, { notBefore: nowMs + 1 }, 'key_expired'],
    ['in its overlap', {}, { state: 'Retiring', notAfter: nowMs + 1 }, undefined],
    ['behind its overlap', {}, { state: 'Retiring', notAfter: nowMs }, 'key_expired'],
    ['pending', {}, { state: 'Pending', notAfter: nowMs + 1 }, undefined],
    ['pending without an end', {}, { state: 'Pending' }, 'key_expired'],
    ['revoked, suspended and expired at once', { state: 'Revoked', expiresAt: 0 }, { notAfter: 0 }, 'key_revoked'],
    ['suspended and expired at once', { state: 'Suspended', expiresAt: 0 }, {}, 'key_suspended'],
  ] as const)('of a key that is %s: %o %o → %s', (_what, fields, credential, code) => expect(standing(fields, credential)).toBe(code));
});

describe('access', () => {
  const scopes: Scope[] = ['read', 'chat', 'embeddings', 'images', 'audio'];
  it.each([
    [undefined, scopes],
    [['full'], scopes],
    [['chat'], ['read', 'chat']],
    [['read'], ['read']],
    [['embeddings'], ['embeddings']],
    [
      ['images', 'audio'],
      ['images', 'audio'],
    ],
  ] as const)('of the scopes %o opens %o', (given, open) => {
    const key = keyWith(given === undefined ? {} : { scopes: given });
    expect(scopes.filter((scope) => checkScope(key, scope) === undefined)).toEqual(open);
    for (const scope of scopes.filter((each) => !(open as readonly string[]).includes(each)))
      expect(checkScope(key, scope)?.code).toBe('scope_not_allowed');
  });

  it('needs every model that is named to be allowed', () => {
    const key = keyWith({ models: ['gpt-4o*'] });
    expect(checkModels(key, [])).toBeUndefined();
    expect(checkModels(key, ['gpt-4o', 'gpt-4o-mini'])).toBeUndefined();
    expect(checkModels(key, ['gpt-4o', 'o3'])).toMatchObject({
      code: 'model_not_allowed',
      param: 'model',
      message: expect.stringContaining('o3'),
    });
    expect(checkModels(keyWith({}), ['whatever'])).toBeUndefined();
  });

  it('of channels and providers is a list or everything', () => {
    const key = keyWith({ channels: ['default/a'], providers: ['OpenAI'] });
    expect([
      key.allowsChannel('default/a'),
      key.allowsChannel('default/b'),
      key.allowsProvider('OpenAI'),
      key.allowsProvider('Gemini'),
    ]).toEqual([true, false, true, false]);
    expect([keyWith({}).allowsChannel('x/y'), keyWith({}).allowsProvider('Gemini')]).toEqual([true, true]);
  });

  it('by address is asked outside, and the refusal tells no range', () => {
    const record = recordWith({ access: { cidrs: ['192.0.2.0/24'] } });
    const key = compileKey(record, (address) => address === '192.0.2.1');
    expect(checkAddress(key, '192.0.2.1')).toBeUndefined();
    const refusal = checkAddress(key, '198.51.100.1');
    expect(refusal?.code).toBe('ip_not_allowed');
    expect(JSON.stringify(refusal)).not.toContain('192.0.2');
  });
});
